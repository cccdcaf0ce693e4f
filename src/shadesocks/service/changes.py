"""Servers that come and go while a service runs: by hand, by a manager's commands, by a changed configuration.

All of it is done by whoever holds `House.changing`. Loaded when something changes.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from ..core.errors import ConfigError
from ..net.datagrams import make_datagrams
from .follow import as_before, follow
from .plugins.behind import bind_behind
from .plugins.plugins import check_plugin
from .ports import close_sockets, not_bound
from .reloaded import Reloaded, compare, refused, tell
from .renew import renew
from .roles.server_port import server_port
from .sockets import check_sockets
from .voices import place

if TYPE_CHECKING:
    from ..config.model import Config, ServerConfig
    from ..core.address import Address
    from ..core.errors import Problem
    from .given import GivenSockets
    from .house import House
    from .roles.seam import Role


def check_server(house: House, server: ServerConfig) -> None:
    """See that a server can be served or used, and fetch its access list.

    Raises:
        ConfigError: it cannot.
    """
    if not house.takes_changes:
        raise RuntimeError("the service does not run, or is about to stop")
    house.shared.acls.fetch(server.acl)
    check_plugin(server, alone=house.siblings is None)
    if server.outbound != house.config.outbound:
        check_sockets(replace(house.config, servers=(server,)))


async def add(house: House, server: ServerConfig) -> Address:
    """Serve one more; see `Service.add`."""
    check_server(house, server)
    wanted, server = server.address, _named(house, server)
    house.speaker.say("adding", place=place(wanted.host, wanted.port), port=wanted.port)
    return await _open(house, server)


def remove(house: House, which: Address | int) -> bool:
    """End servers; see `Service.remove`."""
    if not house.is_up:
        return False
    gone = house.ports.close((which,))
    house.settle()
    if house.accounting is not None:
        house.accounting.dismiss(gone)
    for address in gone:
        house.speaker.say("removing", place=place(address.host, address.port), port=address.port)
    return bool(gone)


async def change(house: House, server: ServerConfig, *, cuts: bool = False, anew: bool = False) -> None:
    """Serve one in the place of the one on its address, or one more; see `Service.change`.

    With `anew` one that is as before gets new parts, too, on the same sockets: what they are made with has changed.
    """
    check_server(house, server)
    server = _named(house, server)
    before = house.ports.at(server.address)
    if before is None:
        await _open(house, server)
        return
    was = before.server
    assert was is not None, "what stands on a server's address is a server"
    if was == server and not (anew and was.plugin is None):  # a plugin would take its connections along
        return
    if not anew and differ_in_users(was, server):  # its parts find who they are in a table, which changes in place
        await house.enrol(server, before.face.users)
        house.ports.rename(before, server)
        return
    handed_on = [] if server.plugin else before.handed_on()  # else nobody finds the port closed meanwhile
    try:
        house.ports.leave(before)
        house.shared.reactor.settle()  # the numbers are soon taken again: no need to gather all there are
        await _open(house, server, house.given.beside(handed_on))
    except ConfigError:
        house.settle()
        with suppress(ConfigError):
            await _open(house, was, house.given.beside(handed_on))
        raise
    finally:
        for sock in handed_on:
            sock.close()
    if cuts:
        house.ports.cut(before)


def differ_in_users(one: ServerConfig, other: ServerConfig) -> bool:
    """Say whether two servers are the same but for those who use it, and tell them apart in the same way."""
    names = [None if server.owner is None else server.owner.name for server in (one, other)]
    is_alike = one.is_shared and other.is_shared if names[0] is None else names[0] == names[1]
    return is_alike and replace(one, users=other.users) == other


async def reload(house: House, role: Role, config: Config) -> tuple[Reloaded, tuple[Problem, ...]]:
    """Go by a changed configuration, as far as it can be done now; see `Service.reload`."""
    before = house.config
    try:
        if not house.takes_changes:  # it serves nobody new, but who is here may have other limits
            await house.follow_users(config)
            return Reloaded(), ()
        if role.has_users:
            config = await house.people(config)
        reset = house.resets
    except ConfigError as error:
        return refused(error.problems), tuple(error.problems)
    config = await as_before(before, config)
    goes_by, _ = follow(before, config, role.followed)
    try:
        house.shared, lists = await renew(house.shared, before, goes_by, house.numbers)
    except ConfigError as error:
        return refused(error.problems), tuple(error.problems)
    house.config = goes_by
    await house.settle_in()
    problems = await role.reload(before)
    reloaded = compare(before, goes_by, config, lists, problems, reset)
    if not house.speaker.is_silent:
        tell(reloaded)
    return reloaded, problems


def _named(house: House, server: ServerConfig) -> ServerConfig:
    """Where there is a store, whoever uses a server has a name."""
    return server if house.accounting is None else house.accounting.named(server)


async def _open(house: House, server: ServerConfig, given: GivenSockets | None = None) -> Address:
    """Bind and open the port of a server."""
    port = server_port(server)
    house.ports.make_room(server.address)
    await house.shared.plugins.settle()
    try:
        port, bound = await bind_behind(house.config, port, given or house.given)
    except OSError as error:
        raise ConfigError([not_bound(port, error, house.given)]) from None
    if not house.takes_changes:
        close_sockets(bound)
        raise RuntimeError("the service was stopped meanwhile")
    if port.has_packets and not house.has_packets:
        house.has_packets = True
        shared = house.shared
        house.shared = replace(shared, datagrams=make_datagrams(shared.reactor, house.config.udp_io))
    try:
        await house.enrol(server)
        address = house.open(port, bound).addresses[0]
        if house.accounting is not None:
            house.accounting.found(server.address, address)
        return address
    except BaseException:
        close_sockets(bound)
        raise
