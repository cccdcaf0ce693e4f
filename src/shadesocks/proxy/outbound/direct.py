"""Straight to the target, with the first payload in the first segment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...core.address import Address
from ...net.connect import Connector
from ..seams import Dialing, First

if TYPE_CHECKING:
    from ...net.connect import Rights


class DirectDialer:
    """Dials the target itself; which targets are allowed is the connector's judge's."""

    __slots__ = ("_connector",)

    def __init__(self, connector: Connector) -> None:
        self._connector = connector

    def dial(self, target: Address, first: First) -> Dialing:
        """Connect and send `first`; see `seams.Dialer`."""
        return self._connector.connect(target, first)

    def within(self, rights: Rights) -> DirectDialer:
        """Return one that goes the same way, for who may reach less."""
        return DirectDialer(self._connector.within(rights))
