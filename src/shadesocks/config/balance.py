"""What the settings of several servers say together: their weights, and what probes can ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from ..core.errors import LocalProtocolError
from ..core.names import labels_of
from ..core.page import parse_page
from .model import Config
from .setting import LOCAL_END

if TYPE_CHECKING:
    from .findings import Findings
    from .listeners import Locals, Servers
    from .sections import Section

_WEIGHTS: Final = {"tcp": ("tcp_weight", "connections"), "udp": ("udp_weight", "datagrams")}


def check_weights(servers: Servers, locals_: Locals, findings: Findings) -> None:
    """Refuse weights that leave a listener without any server; subscriptions may bring others only later."""
    if not findings.concerns(LOCAL_END):
        return
    known = [(section, server) for section, server in servers if server is not None]
    listeners = [local for _, local in locals_ if local is not None]
    for transport, (key, what) in _WEIGHTS.items():
        serving = [(section, server) for section, server in known if getattr(server.mode, transport)]
        for group in dict.fromkeys(local.group for local in listeners if getattr(local.mode, transport)):
            mine = [(section, server) for section, server in serving if not group or server.group == group]
            if mine and all(section.has(key) and not getattr(server, key) for section, server in mine):
                of = f" of group {group}" if group else ""
                text = (
                    f"every server{of} has a weight of 0 here, so none would take {what}; give one of them more, or "
                    f"say by mode that the listener takes no {what}"
                )
                _problem(mine[0][0], key, text, findings)


def check_probes(top: Section, given: Mapping[str, Any], findings: Findings) -> None:
    """Refuse what no probe can go by."""
    if not findings.concerns(LOCAL_END):
        return
    interval, best = given.get("balancer_interval", Config().balancer_interval), given.get("balancer_best_interval")
    if best is not None and best > interval:
        text = (
            f"the server in use is looked at more often than others, not less; write at most {interval:g} s, which is "
            "balancer.check_interval, or leave it out"
        )
        _problem(top, "balancer_best_interval", text, findings)
    if "balancer_probe_url" in given:
        try:
            parse_page(given["balancer_probe_url"])
        except LocalProtocolError as error:
            text = f"a probe cannot ask for this: {error}; write a page such as http://example.com/generate_204"
            _problem(top, "balancer_probe_url", text, findings)
    if "balancer_probe_name" in given:
        try:
            labels_of(given["balancer_probe_name"])
        except ValueError as error:
            _problem(top, "balancer_probe_name", f"a probe cannot ask for this: {error}", findings)


def _problem(section: Section, name: str, text: str, findings: Findings) -> None:
    entry = section.entries[name]
    findings.problem(entry.mark, entry.key, text)
