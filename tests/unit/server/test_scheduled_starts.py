"""Grants with a start that is still to come: no host hears of them, and all is asked again when it comes (S10)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from jit_server.domain.grant import Record
from jit_server.domain.identity import HostCaller, Person
from jit_server.domain.lifecycle import GrantState, RequestState
from jit_server.domain.policy.model import Party, Role
from jit_server.domain.report import DropAsked
from jit_server.errors import Conflict, Invalid
from jit_server.services.locks import NewLock
from jit_testing.core_world import CoreWorld
from jit_testing.server_fakes import SECOND, START, a_role

ROLE = a_role(approvers=["carol", "dave"], max_s=3_600)
HOUR = 3_600 * SECOND
START_AT = START + HOUR


async def _scheduled(world: CoreWorld, role: Role = ROLE, **ask: Any) -> tuple[HostCaller, Person, str]:
    """alice's grant for 600 s, an hour ahead; carol approved."""
    await world.person("alice")
    await world.person("dave")
    carol = await world.person("carol")
    host = await world.host()
    await world.apply(role)
    return host, carol, await world.granted(host, carol, starts_at=START_AT, duration_s=600, **ask)


async def test_an_approved_grant_waits_for_its_start_and_no_host_hears_of_it(world: CoreWorld) -> None:
    host, _, grant_id = await _scheduled(world, once=True)
    grant = await world.grant(grant_id)
    assert (grant.state, grant.not_before, grant.not_after) == (
        GrantState.SCHEDULED,
        START_AT,
        START_AT + 600 * SECOND,
    )
    assert await world.services.delivery.generation(host) == 0
    assert await world.wanted(host) == []
    (event,) = await world.events("grant")
    assert (event.event.kind, event.event.details["not_before"], event.event.details["once"]) == (
        "grant.scheduled",
        START_AT,
        True,
    )


async def test_it_starts_at_its_instant_with_the_end_that_was_agreed_on(world: CoreWorld) -> None:
    host, _, grant_id = await _scheduled(world)
    assert await world.services.starting.start_due() == 3_600
    world.clock.advance(3_599.5)
    assert await world.services.starting.start_due() == 0.5
    assert await world.wanted(host) == []
    world.clock.advance(0.5)
    with world.changes.subscribe([host.host_id]) as changed:
        assert await world.services.starting.start_due() is None
        assert await changed.wait() == {host.host_id}
    payload = await world.signed(host, grant_id)
    assert (payload["not_before"], payload["not_after"], payload["remaining_s"]) == (
        START_AT,
        START_AT + 600 * SECOND,
        600,
    )
    await world.take(host, grant_id)
    assert await world.kinds("grant") == ["grant.scheduled", "grant.issued", "grant.active"]
    (issued,) = await world.events("grant.issued")
    assert (issued.event.actor, issued.event.details["late_us"]) == ("server", 0)


async def test_a_server_that_was_away_at_the_start_begins_late_and_ends_on_time(world: CoreWorld) -> None:
    host, _, grant_id = await _scheduled(world)
    world.services = world.compose()
    world.clock.advance(3_900)
    await world.services.starting.start_due()
    payload = await world.signed(host, grant_id)
    assert (payload["not_after"], payload["remaining_s"]) == (START_AT + 600 * SECOND, 300)


async def test_a_server_that_was_away_until_the_end_starts_nothing(world: CoreWorld) -> None:
    host, _, grant_id = await _scheduled(world)
    world.clock.advance(4_200)
    assert await world.services.starting.start_due() is None
    grant = await world.grant(grant_id)
    assert (grant.state, grant.end_reason) == (GrantState.ENDED, "expired")
    assert await world.wanted(host) == []
    assert await world.kinds("grant") == ["grant.scheduled", "grant.ended"]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (
            replace(ROLE, approvers=Party(people=frozenset({"dave"}))),
            "needs 1 approval, and of those given only 0 still count",
        ),
        (replace(ROLE, approvals=2), "needs 2 approvals, and of those given only 1 still count"),
        (replace(ROLE, mfa=True), "wants a second factor by now"),
        (replace(ROLE, record=Record.INPUT), "is recorded more closely by now"),
        (replace(ROLE, subcommands=True), "is recorded more closely by now"),
        (replace(ROLE, watch_s=60), "is watched more closely by now"),
    ],
)
async def test_at_the_start_everything_is_asked_again(world: CoreWorld, changed: Role, why: str) -> None:
    """What a running grant would live through, a grant that has not begun does not."""
    host, carol, grant_id = await _scheduled(world)
    running = await world.delivered(host, carol, duration_s=600)
    assert await world.apply(changed) == 0
    world.clock.advance(3_600)
    await world.services.starting.start_due()
    grant = await world.grant(grant_id)
    assert grant.state is GrantState.REFUSED
    assert why in grant.end_reason
    (event,) = await world.events("grant.refused")
    assert (event.event.actor, event.event.details["message"]) == ("server", grant.end_reason)
    assert grant_id not in await world.wanted(host)
    assert await world.state(running) is not GrantState.REFUSED


async def test_what_changed_and_was_changed_back_does_not_matter(world: CoreWorld) -> None:
    host, _, grant_id = await _scheduled(world)
    await world.apply(replace(ROLE, approvals=2))
    await world.apply(ROLE)
    world.clock.advance(3_600)
    await world.services.starting.start_due()
    assert await world.wanted(host) == [grant_id]


async def test_a_policy_a_lock_or_a_removal_ends_it_before_it_starts(world: CoreWorld) -> None:
    host, carol, by_policy = await _scheduled(world)
    assert await world.apply(replace(ROLE, eligible=())) == 1
    await world.apply(ROLE)
    ask = {"starts_at": START_AT, "duration_s": 600}
    by_lock = await world.granted(host, carol, **ask)  # type: ignore[arg-type]
    lock = await world.services.locks.create(world.root, NewLock("user", "alice", "stolen laptop"))
    assert lock.grants_ended == 1
    await world.services.locks.lift(world.root, lock.lock_id, "found")
    by_removal = await world.granted(host, carol, **ask)  # type: ignore[arg-type]
    await world.services.hosts.remove(world.root, "web1")
    for grant_id in (by_policy, by_lock, by_removal):
        view = await world.services.grants.get(carol, grant_id)
        assert (view.grant.state, view.grant.end_reason, view.end_confirmed) == (GrantState.ENDED, "revoked", True)


async def test_it_can_be_revoked_dropped_and_taken_back_without_the_host(world: CoreWorld) -> None:
    """S6."""
    host, carol, revoked = await _scheduled(world)
    others = [await world.ask(host, starts_at=START_AT, duration_s=600) for _ in range(3)]
    dropped, taken_back, dropped_there = [
        (await world.services.decisions.approve(carol, view.request.request_id)).grant.grant.grant_id  # type: ignore[union-attr]
        for view in others
    ]
    async with world.store.read() as tx:
        alice = await tx.people.by_name("alice")
    assert alice is not None
    await world.services.grants.revoke(carol, revoked)
    await world.services.grants.drop(Person(alice.user_id), dropped)
    await world.services.requests.cancel_local(host, world.local("alice"), others[1].request.request_id)
    await world.report(host, dropped_there, DropAsked(world.local("alice")))
    for grant_id, reason in ((revoked, "revoked"), (dropped, "dropped"), (taken_back, "dropped")):
        grant = await world.grant(grant_id)
        assert (grant.state, grant.end_reason, grant.ended_at) == (GrantState.ENDED, reason, world.clock.now())
    assert await world.state(dropped_there) is GrantState.ENDED
    assert await world.services.delivery.generation(host) == 0
    with pytest.raises(Conflict, match="already approved"):
        await world.services.requests.cancel_local(host, world.local("alice"), others[1].request.request_id)
    world.clock.advance(3_600)
    assert await world.services.starting.start_due() is None
    assert await world.wanted(host) == []


async def test_it_cannot_be_extended_before_it_starts(world: CoreWorld) -> None:
    host, _, grant_id = await _scheduled(world)
    with pytest.raises(Conflict, match="has not started yet"):
        await world.extend(host, grant_id)


async def test_a_request_lapses_at_the_latest_when_its_time_would_be_over(world: CoreWorld) -> None:
    await world.person("alice")
    carol, host = await world.person("carol"), await world.host()
    await world.apply(ROLE)
    soon = await world.ask(host, starts_at=START_AT, duration_s=600)
    far = await world.ask(host, starts_at=START + 29 * 24 * HOUR, duration_s=600)
    assert soon.request.lapses_at == START_AT + 600 * SECOND
    assert far.request.lapses_at == START + 24 * HOUR
    world.clock.advance(3_900)
    # Approved in the middle of its time: it begins now and ends as it was asked for.
    view = await world.services.decisions.approve(carol, soon.request.request_id)
    assert view.grant is not None
    assert (view.grant.grant.state, view.grant.grant.not_before, view.grant.grant.not_after) == (
        GrantState.ISSUED,
        world.clock.now(),
        START_AT + 600 * SECOND,
    )


async def test_a_role_without_approvals_is_scheduled_at_once(world: CoreWorld) -> None:
    await world.person("alice")
    host = await world.host()
    await world.apply(a_role(approvals=0, approvers=[]))
    view = await world.ask(host, starts_at=START_AT)
    assert view.request.state is RequestState.APPROVED
    assert view.grant is not None
    assert view.grant.grant.state is GrantState.SCHEDULED
    mine = await world.services.requests.list_mine(host, world.local("alice"), over_too=False)
    assert [one.request.starts_at for one in mine] == [START_AT]
    world.clock.advance(3_600)
    await world.services.starting.start_due()
    assert await world.wanted(host) == [view.grant.grant.grant_id]


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ({"starts_at": START - 1}, "the start is in the past"),
        ({"starts_at": START + 30 * 24 * HOUR + 1}, "more than 30 days ahead"),
        ({"session": 2**32 - 1}, "no login session"),
        ({"session": -1}, "no login session"),
    ],
)
async def test_a_start_or_session_that_makes_no_sense_is_refused(
    world: CoreWorld, what: dict[str, Any], message: str
) -> None:
    await world.person("alice")
    await world.person("carol")
    host = await world.host()
    await world.apply(ROLE)
    with pytest.raises(Invalid, match=message):
        await world.ask(host, **what)
    assert await world.events("request") == []
    for starts_at, session in ((START, 0), (START + 30 * 24 * HOUR, 0), (0, 2**32 - 2)):
        view = await world.ask(host, starts_at=starts_at, session=session)
        assert view.request.state is RequestState.PENDING
