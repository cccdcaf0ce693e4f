"""What a master does for its program: nothing, where nobody says more."""

from __future__ import annotations

from shadesocks.config.model import Config
from shadesocks.process.notify import Notifier
from shadesocks.process.orders import Orders
from shadesocks.service.speaker import Speaker
from shadesocks.service.voices import voice_of


def test_one_without_orders_reads_nothing_again_and_lets_connections_end() -> None:
    orders = Orders(Speaker(voice_of("shadesocks", "server"), shows_time=False), Notifier())
    assert (orders.reread, orders.hangup, orders.at_once) == (None, None, False)
    orders.leaving()
    orders.took(Config())
    config = Config()
    assert orders.people(config) is config
