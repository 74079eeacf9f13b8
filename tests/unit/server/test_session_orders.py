"""Freezing, thawing, killing and watching: who may, what the host is then told, and what is written down (SPEC 8.5)."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from jit_server.domain.grant import Record
from jit_server.domain.identity import Duty, HostCaller, Person
from jit_server.domain.policy.model import Party
from jit_server.domain.report import SessionFrozen
from jit_server.domain.session import SessionState
from jit_server.domain.session_order import MAX_MESSAGE, Order
from jit_server.errors import Conflict, Denied, Invalid, LimitExceeded, NotFound, Unauthenticated
from jit_server.ports import orders_of
from jit_server.services.locks import NewLock
from jit_testing.core_world import CoreWorld, end_of
from jit_testing.server_fakes import a_role

WATCHED = a_role(record=Record.OUTPUT, watch_s=60, approvers=("carol", "alice", "erin"))
PLAIN = replace(a_role("plain", record=Record.OUTPUT), approvers=Party(people=frozenset({"carol", "alice"})))


async def _world(world: CoreWorld) -> tuple[HostCaller, Person, str]:
    await world.person("alice")
    carol, host = await world.person("carol"), await world.host()
    await world.apply(WATCHED, PLAIN)
    return host, carol, await world.delivered(host, carol)


async def _plain(world: CoreWorld, host: HostCaller, carol: Person) -> str:
    return await world.run(host, await world.delivered(host, carol, role="plain"))


async def _orders(world: CoreWorld, host: HostCaller) -> list[Order]:
    return list((await world.services.sessions.orders(host)).orders)


async def test_freeze_thaw_and_kill_are_told_to_the_host_and_shown(world: CoreWorld) -> None:
    host, carol, _ = await _world(world)
    session_id = await _plain(world, host, carol)
    assert await _orders(world, host) == []
    control = world.services.sessions.control

    view = await control(carol, session_id, "freeze", "  what is this? ")
    assert (view.session.order, view.session.state) == ("frozen by carol: what is this?", SessionState.RUNNING)
    frozen = Order(session_id, frozen=True, message="frozen by carol: what is this?")
    assert await _orders(world, host) == [frozen]
    await world.report(host, "", SessionFrozen(session_id, True, "order"))
    assert await _orders(world, host) == [frozen]

    view = await control(world.root, session_id, "thaw", "")
    assert (view.session.order, view.session.state) == ("", SessionState.FROZEN)
    assert await _orders(world, host) == [Order(session_id, message="thawed by root-admin")]
    await world.report(host, "", SessionFrozen(session_id, False, "order"))
    assert await _orders(world, host) == []

    assert (await control(carol, session_id, "kill", "enough")).session.order == "killed by carol: enough"
    assert await _orders(world, host) == [Order(session_id, killed=True, message="killed by carol: enough")]
    await world.report(host, "", end_of(session_id))
    assert await _orders(world, host) == []

    told = [
        (event.kind.value, event.actor, event.details["why"], event.details["reason"], event.details["done"])
        for event in [recorded.event for recorded in await world.events("session")]
        if "done" in event.details
    ]
    assert told == [
        ("session.frozen", "carol", "order", "what is this?", False),
        ("session.frozen", "host web1", "order", "", True),
        ("session.thawed", "root-admin", "order", "", False),
        ("session.thawed", "host web1", "order", "", True),
        ("session.killed", "carol", "order", "enough", False),
    ]


async def test_only_approvers_of_the_role_and_administrators_order_anything(world: CoreWorld) -> None:
    host, carol, _ = await _world(world)
    dave, erin = await world.person("dave", Duty.AUDITOR), await world.person("erin")
    session_id = await _plain(world, host, carol)
    standing = await world.run(host, "", "alice")
    for act in ("freeze", "thaw", "kill"):
        with pytest.raises(Denied, match="approver of role plain"):
            await world.services.sessions.control(dave, session_id, act, "")
        with pytest.raises(NotFound):
            await world.services.sessions.control(erin, session_id, act, "")
        with pytest.raises(NotFound):
            await world.services.sessions.control(carol, standing, act, "")
    await world.services.sessions.control(world.root, standing, "kill", "")
    assert [order.session_id for order in await _orders(world, host)] == [standing]


async def test_whose_session_it_is_may_stop_it_as_an_approver_but_never_thaw_it(world: CoreWorld) -> None:
    """S8."""
    host, carol, _ = await _world(world)
    alice = Person((await world.services.people.list_all(world.root))[0].user.user_id)
    session_id = await _plain(world, host, carol)
    await world.services.sessions.control(alice, session_id, "freeze", "oops")
    with pytest.raises(Denied, match="nobody thaws their own session"):
        await world.services.sessions.control(alice, session_id, "thaw", "")
    await world.services.sessions.control(alice, session_id, "kill", "")
    # Alone, without being an approver, they do none of it.
    await world.apply(WATCHED, replace(PLAIN, approvers=Party(people=frozenset({"carol"}))))
    other = await _plain(world, host, carol)
    with pytest.raises(Denied):
        await world.services.sessions.control(alice, other, "freeze", "")


async def test_who_is_locked_thaws_nothing_and_still_stops_things(world: CoreWorld) -> None:
    """S6, S10."""
    host, carol, _ = await _world(world)
    session_id = await _plain(world, host, carol)
    await world.services.locks.create(world.root, NewLock("user", "carol", "stolen laptop"))
    await world.services.sessions.control(carol, session_id, "freeze", "")
    with pytest.raises(Denied, match="thaws nothing"):
        await world.services.sessions.control(carol, session_id, "thaw", "")
    await world.services.sessions.control(carol, session_id, "kill", "")


async def test_what_makes_no_sense_is_refused_and_says_why(world: CoreWorld) -> None:
    host, carol, _ = await _world(world)
    session_id = await _plain(world, host, carol)
    control = world.services.sessions.control
    with pytest.raises(Invalid, match="nothing to do to a session"):
        await control(carol, session_id, "hug", "")
    with pytest.raises(LimitExceeded):
        await control(carol, session_id, "kill", "x" * 1_001)
    with pytest.raises(Conflict, match="nobody has frozen"):
        await control(carol, session_id, "thaw", "")
    await control(carol, session_id, "freeze", "")
    with pytest.raises(Conflict, match="is frozen by carol"):
        await control(world.root, session_id, "freeze", "")
    await control(carol, session_id, "kill", "")
    for act in ("freeze", "thaw", "kill"):
        with pytest.raises(Conflict, match="was ordered already: killed by carol"):
            await control(carol, session_id, act, "")
    await world.report(host, "", end_of(session_id))
    with pytest.raises(Conflict, match="is over"):
        await control(carol, session_id, "kill", "")
    assert await world.kinds("session.killed") == ["session.killed"]


async def test_what_a_person_is_told_is_one_short_printable_line(world: CoreWorld) -> None:
    """S12."""
    host, carol, _ = await _world(world)
    session_id = await _plain(world, host, carol)
    await world.services.sessions.control(carol, session_id, "freeze", "a\x1b]52;c;\x07\nb" + "x" * 900)
    (order,) = await _orders(world, host)
    assert order.message.isprintable()
    assert len(order.message) == MAX_MESSAGE
    assert order.message.startswith("frozen by carol: a ]52;c;  bx")


async def test_a_watcher_counts_while_they_are_heard_and_five_seconds_longer(world: CoreWorld) -> None:
    host, carol, grant_id = await _world(world)
    session_id = await world.wait_for_watcher(host, grant_id)
    assert (await world.services.sessions.orders(host)).repeat
    assert await _orders(world, host) == []
    view = await world.services.sessions.watching(carol, session_id)
    assert view.watchers == ("carol",)
    orders = await world.services.sessions.orders(host)
    assert (orders.orders, orders.look_again_s) == ((Order(session_id, watched=True),), 5.0)
    world.clock.advance(2)
    await world.services.sessions.watching(carol, session_id)
    world.clock.advance(4.999)
    assert await _orders(world, host) == [Order(session_id, watched=True)]
    world.clock.advance(0.001)
    orders = await world.services.sessions.orders(host)
    assert (orders.orders, orders.look_again_s, orders.repeat) == ((), None, True)
    assert (await world.services.sessions.view(carol, session_id)).watchers == ()
    await world.services.sessions.watching(carol, session_id)
    assert await _orders(world, host) == [Order(session_id, watched=True)]
    (event,) = await world.events("session.watched")
    assert (event.event.actor, event.event.user, event.event.details["session"]) == ("carol", "alice", session_id)
    await world.report(host, grant_id, end_of(session_id))
    orders = await world.services.sessions.orders(host)
    assert (orders.orders, orders.repeat) == ((), False)
    assert (await world.services.sessions.watching(carol, session_id)).watchers == ()


async def test_the_host_is_hinted_at_when_a_watcher_comes_or_comes_back_and_not_each_time_they_are_heard(
    world: CoreWorld,
) -> None:
    host, carol, grant_id = await _world(world)
    session_id = await world.wait_for_watcher(host, grant_id)

    async def hinted() -> bool:
        with world.changes.subscribe([orders_of(host.host_id)]) as subscription:
            await world.services.sessions.watching(carol, session_id)
            try:
                async with asyncio.timeout(0):
                    await subscription.wait()
            except TimeoutError:
                return False
        return True

    assert await hinted()
    world.clock.advance(2)
    assert not await hinted()
    world.clock.advance(5)
    assert await hinted()
    await world.services.locks.create(world.root, NewLock("user", "carol", "stolen laptop"))
    assert await hinted(), "they count no more"


async def test_the_gate_of_a_watched_role_opens_for_an_approver_only_and_never_for_oneself(world: CoreWorld) -> None:
    """S8: alice is an approver of the role herself."""
    host, carol, grant_id = await _world(world)
    people = {view.user.name: Person(view.user.user_id) for view in await world.services.people.list_all(world.root)}
    dave, erin = await world.person("dave", Duty.AUDITOR), await world.person("erin")
    session_id = await world.wait_for_watcher(host, grant_id)
    for nobody in (people["alice"], dave):
        await world.services.sessions.watching(nobody, session_id)
        assert await _orders(world, host) == []
    assert (await world.services.sessions.view(carol, session_id)).watchers == ("alice", "dave")
    await world.services.locks.create(world.root, NewLock("user", "carol", "stolen laptop"))
    await world.services.sessions.watching(carol, session_id)
    assert await _orders(world, host) == []
    await world.services.sessions.watching(erin, session_id)
    assert await _orders(world, host) == [Order(session_id, watched=True)]
    # Who loses the role while they watch opens it no longer, and may not even look.
    await world.apply(replace(WATCHED, approvers=Party(people=frozenset({"carol", "alice"}))), PLAIN)
    with pytest.raises(NotFound):
        await world.services.sessions.watching(erin, session_id)
    world.clock.advance(5)
    assert await _orders(world, host) == []


async def test_a_session_nobody_has_to_watch_is_watched_by_whoever_may_read_it(world: CoreWorld) -> None:
    host, carol, _ = await _world(world)
    dave, mallory = await world.person("dave", Duty.AUDITOR), await world.person("mallory")
    session_id = await _plain(world, host, carol)
    assert not (await world.services.sessions.orders(host)).repeat
    await world.services.sessions.watching(dave, session_id)
    assert await _orders(world, host) == [Order(session_id, watched=True)]
    with pytest.raises(NotFound):
        await world.services.sessions.watching(mallory, session_id)


async def test_orders_are_one_hosts_and_outlive_the_server(world: CoreWorld) -> None:
    host, carol, _ = await _world(world)
    other = await world.host("web2")
    session_id = await _plain(world, host, carol)
    await world.services.sessions.control(carol, session_id, "freeze", "")
    world.services = world.compose()
    assert [order.session_id for order in await _orders(world, host)] == [session_id]
    assert await _orders(world, other) == []
    await world.services.hosts.remove(world.root, "web1")
    with pytest.raises(Unauthenticated):
        await _orders(world, host)


async def test_a_watched_role_signs_what_the_host_needs_to_know(world: CoreWorld) -> None:
    host, _, grant_id = await _world(world)
    payload = await world.signed(host, grant_id)
    assert (payload["record"], payload["required"], payload["subcommands"], payload["watch_s"]) == (
        "output", True, False, 60,
    )  # fmt: skip
