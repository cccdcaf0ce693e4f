"""The prober of a client: what it is made of the configuration."""

from __future__ import annotations

from shadesocks.config.model import Config
from shadesocks.core.address import Address
from shadesocks.proxy.balance.group import TCP, UDP
from shadesocks.service.roles.client_probes import PROBE_DNS, make_prober
from shadesocks.service.roles.client_ways import client_prober, roster_of
from tests.service.furniture import furnished
from tests.service.rig import run, server_config


def test_a_policy_that_does_not_ask_has_none() -> None:
    async def story() -> None:
        config = Config(servers=(server_config(port=1),), balancer_policy="ordered")
        async with furnished(config) as shared:
            assert client_prober(shared, roster_of(shared)) is None

    run(story())


def test_probes_go_by_the_configuration() -> None:
    async def story() -> None:
        for named, asked in ((None, PROBE_DNS), (Address("192.0.2.1", 0), Address("192.0.2.1", 53))):
            config = Config(
                servers=(server_config(port=1),),
                balancer_interval=7.0,
                balancer_probe_concurrency=3,
                balancer_probe_dns=named,
            )
            async with furnished(config) as shared:
                prober = make_prober(shared, roster_of(shared))
                assert prober._rules.interval == prober._rules.best_interval == 7.0
                assert prober._rules.most == 3
                assert prober._probes.keys() == {TCP, UDP}
                assert prober._probes[UDP]._to == asked.pack()  # type: ignore[attr-defined] # the probe's own
                prober.close()

    run(story())
