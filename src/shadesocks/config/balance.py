"""What the settings of several servers say together, and what probes can ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..core.errors import LocalProtocolError
from ..core.names import labels_of
from ..core.page import parse_page
from .model import Config
from .setting import LOCAL_END

if TYPE_CHECKING:
    from .findings import Findings
    from .sections import Section


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
