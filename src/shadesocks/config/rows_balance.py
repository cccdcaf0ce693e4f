"""Rows of the table: several servers, which of them is taken, and how ready they are kept."""

from __future__ import annotations

from typing import Final

from .setting import LOCAL_END, RUST, SERVERS, Kind, Place, Setting

POOL_MOST: Final = 64
"""Connections kept ready to one server: each is one on the server too, which closes it if none comes in time."""
WEIGHT_MOST: Final = 1000

ROWS: Final = (
    Setting(
        "balancer_policy",
        Kind.CHOICE,
        "Which of several servers takes a connection: the one with the best score, the first that works, any, each in "
        "turn, the quickest, the one with the fewest connections, or always the same one for a target.",
        key="balancer.policy",
        roles=LOCAL_END,
        default="score",
        choices=("score", "ordered", "random", "round-robin", "fastest", "least-connections", "sticky"),
        flags=("--balancer-policy",),
        since="0.3",
    ),
    Setting(
        "balancer_margin",
        Kind.COUNT,
        "How much better another server must be before it takes the place of the best one.",
        key="balancer.margin",
        roles=LOCAL_END,
        default=20,
        unit="percent",
        high=1000,
        since="0.3",
    ),
    Setting(
        "balancer_drops",
        Kind.FLAG,
        "Close what goes through a server once another is better, so that programs connect anew.",
        key="balancer.drop_on_switch",
        roles=LOCAL_END,
        default=False,
        since="0.3",
    ),
    Setting(
        "balancer_max_rtt",
        Kind.SECONDS,
        "How long a probe may take; slower is as bad as no answer.",
        key="balancer.max_server_rtt",
        roles=LOCAL_END,
        default=5.0,
        unit="s",
        low=0.001,
        high=60,
        source=RUST,
        since="0.3",
    ),
    Setting(
        "balancer_interval",
        Kind.SECONDS,
        "Time between two probes of a server.",
        key="balancer.check_interval",
        roles=LOCAL_END,
        default=10.0,
        unit="s",
        low=0.1,
        high=86400,
        source=RUST,
        since="0.3",
    ),
    Setting(
        "balancer_best_interval",
        Kind.SECONDS,
        "Time between two probes of the server that is in use, where it should be looked at more often.",
        key="balancer.check_best_interval",
        roles=LOCAL_END,
        default_text="balancer.check_interval",
        unit="s",
        low=0.1,
        high=86400,
        source=RUST,
        since="0.3",
    ),
    Setting(
        "balancer_probe_url",
        Kind.TEXT,
        "What a probe asks for through a server: an http:// page that answers 200 or 204.",
        key="balancer.probe_url",
        roles=LOCAL_END,
        default="http://detectportal.firefox.com/success.txt",
        since="0.3",
    ),
    Setting(
        "balancer_probe_dns",
        Kind.ADDRESS,
        "The name server that a probe asks over UDP through a server.",
        key="balancer.probe_dns",
        roles=LOCAL_END,
        default_text="8.8.8.8:53",
        since="0.3",
    ),
    Setting(
        "balancer_probe_name",
        Kind.HOST,
        "The name that it is asked for.",
        key="balancer.probe_name",
        roles=LOCAL_END,
        default="firefox.com",
        since="0.3",
    ),
    Setting(
        "balancer_probe_concurrency",
        Kind.COUNT,
        "Probes under way at a time.",
        key="balancer.probe_concurrency",
        roles=LOCAL_END,
        default=8,
        low=1,
        high=1000,
        since="0.3",
    ),
    *(
        Setting(
            name,
            Kind.NUMBER,
            text,
            places=(Place.SERVER,),
            roles=LOCAL_END,
            default=1.0,
            high=WEIGHT_MOST,
            source=RUST,
            since="0.3",
        )
        for name, text in (
            ("tcp_weight", "How much the server is preferred to others for connections; 0: it takes none."),
            ("udp_weight", "The same for datagrams."),
        )
    ),
    Setting(
        "pool",
        Kind.COUNT,
        "Connections to the server that are kept ready, so that a program waits a round trip less.",
        places=SERVERS,
        roles=LOCAL_END,
        default=0,
        high=POOL_MOST,
        since="0.3",
    ),
    Setting(
        "group",
        Kind.TEXT,
        "A name for some of the servers. A listener with the name uses those only, one without uses all.",
        places=(Place.SERVER, Place.LOCAL),
        roles=LOCAL_END,
        default="",
        since="0.3",
    ),
)
