"""Bounds that leave nothing between them, and lists that leave much open."""

from __future__ import annotations

import pytest

from .samples import problems, text_of, warnings


@pytest.mark.parametrize(("least", "most", "fits"), [(1, 2, True), (2, 2, True), (3, 2, False)])
def test_the_bounds_of_the_cache_leave_something_between_them(least: int, most: int, fits: bool) -> None:
    found = problems(text_of(dns_ttl_min=least, dns_ttl_max=most))
    text = "c.json:1: dns_ttl_max: dns_ttl_max (2 s) is less than dns_ttl_min (3 s); change one of them"
    assert found == ([] if fits else [text])


def test_one_bound_is_compared_with_the_default_of_the_other() -> None:
    assert "dns_ttl_min" in problems(text_of(dns_ttl_min=86400))[0]


def test_an_empty_list_opens_everything_and_a_zero_at_the_end_is_no_network() -> None:
    assert "this list is empty, so private networks are open" in warnings(text_of(forbidden_ip=[]), "server")[0]
    left, odd = warnings(text_of(forbidden_ip=["10.0.0.0"]), "server")
    assert "127.0.0.0/8, 172.16.0.0/12" in left
    assert "ends in .0 is one address" in odd
