"""ACL files as they are read: sections, rules, dialects, and every problem with its line."""

from __future__ import annotations

from socket import AF_INET, AF_INET6, inet_pton

import pytest

from shadesocks.core.errors import ConfigError, Problem
from shadesocks.proxy.acl import Acl, Way
from shadesocks.proxy.acl_file import parse_acl


def ip(text: str) -> bytes:
    return inet_pton(AF_INET6 if ":" in text else AF_INET, text)


def problems(text: str, libev: bool = False) -> tuple[Problem, ...]:
    """Read a text that has something wrong with it."""
    with pytest.raises(ConfigError) as refused:
        parse_acl(text, "x.acl", "libev" if libev else "rust")
    return refused.value.problems


def judged(acl: Acl) -> tuple[Way | None, Way | None, bool | None, bool | None]:
    """Ask for one name in each list."""
    return (acl.client_host("by.x"), acl.client_host("pr.x"), acl.outbound_host("bl.x"), acl.outbound_host("al.x"))


def test_an_empty_file_lets_everything_be() -> None:
    for text in ("", "\n\n", "# a comment\n", "\ufeff", "  \r\n\t\n"):
        acl = parse_acl(text, "x.acl")
        assert (acl.default, acl.outbound_default, acl.needs_addresses) == (Way.PROXY, True, False)
        assert acl.warnings == ()
        assert acl.admits(ip("192.0.2.1"))
        assert not acl.refuse_target("a.example", ip("192.0.2.1"))


@pytest.mark.parametrize(
    ("bypass", "proxy"), [("[bypass_list]", "[proxy_list]"), ("[black_list]", "[white_list]"), ("", "[proxy_list]")]
)
def test_sections_have_two_names_and_come_in_any_order(bypass: str, proxy: str) -> None:
    parts = [f"{bypass}\n||by.x", f"{proxy}\n||pr.x", "[outbound_block_list]\n||bl.x", "[outbound_allow_list]\n||al.x"]
    orders = [parts] if not bypass else [parts, parts[::-1], [*parts[2:], *parts[:2]]]
    for order in orders:
        acl = parse_acl("\n".join(order), "x.acl")
        assert judged(acl) == (Way.BYPASS, Way.PROXY, False, True)


def test_sections_repeat() -> None:
    acl = parse_acl("[proxy_list]\n||pr.x\n[bypass_list]\n||by.x\n[white_list]\n||more.x", "x.acl")
    assert acl.client_host("more.x") is acl.client_host("pr.x") is Way.PROXY


@pytest.mark.parametrize(
    ("text", "default", "outbound"),
    [
        ("[proxy_all]", Way.PROXY, True),
        ("[accept_all]", Way.PROXY, True),
        ("[bypass_all]", Way.BYPASS, True),
        ("[reject_all]", Way.BYPASS, True),
        ("[bypass_all]\n[proxy_all]", Way.PROXY, True),
        ("[proxy_list]\na\n[bypass_all]\nb", Way.BYPASS, True),
        ("[outbound_block_all]", Way.PROXY, False),
        ("[outbound_block_all]\n[outbound_allow_all]", Way.PROXY, True),
        ("  [bypass_all]\t\r", Way.BYPASS, True),
    ],
)
def test_a_mode_stands_anywhere_and_the_last_one_counts(text: str, default: Way, outbound: bool) -> None:
    acl = parse_acl(text, "x.acl")
    assert (acl.default, acl.outbound_default) == (default, outbound)


def test_a_mode_does_not_end_a_section() -> None:
    acl = parse_acl("[proxy_list]\n||a.x\n[bypass_all]\n||b.x", "x.acl")
    assert acl.client_host("b.x") is Way.PROXY


@pytest.mark.parametrize(
    ("rule", "matching", "others"),
    [
        ("||a.x", ["a.x", "b.a.x", "c.b.a.x"], ["xa.x", "x", "a.x.y"]),
        ("|a.x", ["a.x"], ["b.a.x", "xa.x"]),
        ("||x", ["x", "a.x"], ["ax"]),
        ("||A.X", ["a.x", "b.a.x"], []),
        ("||a.x.", ["a.x"], []),
        ("|| a.x", ["a.x"], []),
        ("||bücher.x", ["xn--bcher-kva.x", "a.xn--bcher-kva.x"], ["bcher.x"]),
        ("|BÜCHER.x", ["xn--bcher-kva.x"], []),
        ("a\\.x", ["a.x", "b.a.x", "xa.x", "a.xy"], ["ab.x"]),
        ("A\\.X$", ["a.x"], []),
        ("(^|\\.)a\\.x$", ["a.x", "b.a.x"], ["xa.x"]),
        ("\\.x$", ["a.x"], ["x"]),
        ("^a\\.", ["a.x"], ["b.a.x"]),
        ("^\\S+\\.x$", ["a.x"], ["x"]),
        ("([0-9])", ["a1.x"], ["a.x"]),
        ("[0-9]\\.[a-z]", ["a1.x"], ["a.x"]),
        ("^(a|b)\\.(.)\\2$", ["a.cc"], ["a.cd"]),
    ],
)
def test_rules_for_names(rule: str, matching: list[str], others: list[str]) -> None:
    acl = parse_acl(f"[outbound_block_list]\n{rule}\n", "x.acl")
    assert [name for name in matching if acl.outbound_host(name) is not False] == []
    assert [name for name in others if acl.outbound_host(name) is False] == []


def test_comments() -> None:
    text = "#x\n  # y\n||a.x"
    assert parse_acl(text, "x.acl").client_host("a.x") is Way.BYPASS
    libev = parse_acl("^a\\.x$ # always\n10.0.0.0/8#lan\n#\n   #\n[proxy_list] # from here\n^b$", "x.acl", "libev")
    assert libev.client_host("a.x") is Way.BYPASS
    assert libev.client_ip(ip("10.0.0.1")) is Way.BYPASS
    assert libev.client_host("b") is Way.PROXY


def test_a_line_that_is_not_ascii_is_skipped_with_a_warning() -> None:
    acl = parse_acl("# überall\nbücher\\.x\n||ü.x", "x.acl")
    (warning,) = acl.warnings
    assert (warning.where, warning.line, warning.key) == ("x.acl", 2, "bücher\\.x")
    assert "is skipped" in warning.text
    assert parse_acl("# überall\nbücher\\.x", "x.acl", "libev").warnings == ()


def test_libev_skips_lines_of_255_bytes() -> None:
    kept, skipped = "^" + "a" * 252 + "$", "^" + "b" * 253 + "$"
    wide = "^" + "ü" * 127 + "$"
    text = f"{kept}\n{skipped}\n{wide}\n#{'c' * 300}\n"
    acl = parse_acl(text, "x.acl", "libev")
    assert [warning.line for warning in acl.warnings] == [2, 3]
    assert acl.warnings[0].key == "^" + "b" * 59 + "…"
    assert acl.client_host("a" * 252) is Way.BYPASS
    assert acl.client_host("b" * 253) is None
    assert parse_acl(skipped, "x.acl").client_host("b" * 253) is Way.BYPASS


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("[proxy_lst]", "there is no such section; did you mean [proxy_list]?"),
        ("[Proxy_All]", "did you mean [proxy_all]?"),
        ("[proxy_list", "did you mean [proxy_list]?"),
        ("[xyz]", "there is no such section; there are [proxy_all], "),
        ("[0-9]", "a regular expression of one class stands in ( )"),
        ("10.0.0.0/33", "a prefix length of 0 to 32; write an address"),
        ("10.0.0.0/255.0.0.0", "a prefix length of 0 to 32"),
        ("::1/129", "a prefix length of 0 to 128"),
        ("10.0.0.256", "no IP address stands there"),
        ("10.0.0/8", "no IP address stands there"),
        ("010.0.0.1", "no IP address stands there"),
        ("10.0.0.1:80", "no IP address stands there"),
        ("10.0.0.1-10.0.0.9", "no IP address stands there"),
        ("fe80::1%eth0", "no IP address stands there"),
        ("[::1]", "no IP address stands there"),
        ("10.0.0.0/8 # lan", "a prefix length of 0 to 32"),
        ("a.x # mine", "a comment has a line of its own"),
        ("a.x b.x", "write one rule a line"),
        ("||", "after | or || goes a host name"),
        ("|", "after | or || goes a host name"),
        ("|||a", "after | or || goes a host name"),
        ("||*.a.x", "after | or || goes a host name"),
        ("||.a.x", "after | or || goes a host name"),
        ("||a..x", "after | or || goes a host name"),
        ("||a.x^", "after | or || goes a host name"),
        ("||10.0.0.1", "addresses stand without |"),
        ("|::1", "addresses stand without |"),
        ("(a", "no regular expression that is understood here: a ( is not closed"),
        ("*.a.x", "no regular expression that is understood here: nothing to repeat"),
        ("a{9999999999}", "no regular expression that is understood here: it is too much"),
        ("(?<=a+)x", "no regular expression that is understood here: look-behind"),
        ("a\\y", "no regular expression that is understood here: bad escape \\y"),
        ("a|", "matches every name"),
    ],
)
def test_what_is_wrong_is_said(rule: str, words: str) -> None:
    (problem,) = problems(f"||fine.x\n{rule}\n(^|\\.)fine\\.x\n")
    assert (problem.where, problem.line, problem.key) == ("x.acl", 2, rule)
    assert words in problem.text


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("||a.x", "read the file in the dialect rust"),
        ("|a.x", "read the file in the dialect rust"),
        ("[outbound_allow_list]", "read the file in the dialect rust"),
        ("[outbound_allow_all]", "read the file in the dialect rust"),
        ("[outbound_block_all]", "read the file in the dialect rust"),
        ("[outbound_blok_list]", "did you mean [outbound_block_list]?"),
        ("a|", "matches every name"),
        ("(a#b)", "a ( is not closed"),
    ],
)
def test_what_is_wrong_in_libev(rule: str, words: str) -> None:
    (problem,) = problems(f"^fine$\n{rule}\n", libev=True)
    assert problem.line == 2
    assert words in problem.text


def test_every_problem_is_told_in_the_order_of_the_lines() -> None:
    """Those that show when all expressions are compiled stand among the others."""
    text = "*a\n[nowhere]\n[proxy_list]\n||*\n?b\n1.2.3.4/99\nfine\n[outbound_block_list]\n(c\n+d"
    assert [problem.line for problem in problems(text)] == [1, 2, 4, 5, 6, 9, 10]


def test_a_message_is_one_short_line() -> None:
    (problem,) = problems("(" + "\x1b[2J" + "a" * 500)
    assert len(str(problem)) < 200
    assert str(problem).isprintable()


def test_libev_tells_upper_case_from_lower() -> None:
    """Its expressions do, and a name is in lower case by then."""
    for rule, found in (("^A$", None), ("^a$", Way.BYPASS), ("(?i)^A$", Way.BYPASS)):
        assert parse_acl(rule, "x.acl", "libev").client_host("a") is found
    assert parse_acl("^A$", "x.acl").client_host("a") is Way.BYPASS


def test_many_expressions_are_all_there() -> None:
    """More than stand in one: those that begin at the beginning, those that do not, and those that stay alone."""
    count = 600
    forms = ("^a{}[xy]", "b{}[xy]", "^(?P<n>c{})(?P=n)$", "(d){}\\1$")
    rules = [form.format(number) for number in range(count) for form in forms]
    acl = parse_acl("\n".join(rules), "x.acl")
    for number in (0, 1, 499, 500, 501, count - 1):
        for name in (f"a{number}x.z", f"z.b{number}y.z", f"c{number}c{number}", f"d{number}d"):
            assert acl.client_host(name) is Way.BYPASS, name
        for name in (f"z.a{number}x", f"b{number}z", f"c{number}c", f"d{number}"):
            assert acl.client_host(name) is None, name


def test_one_bad_expression_among_many_is_the_one_that_is_named() -> None:
    rules = [f"a{number}[xy]" for number in range(1200)]
    rules[700] = "a700[y-x]"
    (problem,) = problems("\n".join(rules))
    assert (problem.line, problem.key) == (701, "a700[y-x]")
