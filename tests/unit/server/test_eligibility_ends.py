"""What is told of eligibilities, and what happens as their ends come (SPEC 9.7)."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import pytest

from jit_server.domain.eligibility import EntryState
from jit_server.domain.identity import Duty
from jit_server.domain.lifecycle import GrantState, RequestState
from jit_server.domain.policy.model import Eligibility, Party, Role
from jit_server.errors import Denied
from jit_server.store import Transaction
from jit_testing.core_world import CoreWorld
from jit_testing.server_fakes import SECOND, START, a_policy, a_role, people_for_good

DAY_S = 86_400
DAY = DAY_S * SECOND
END = START + 20 * DAY


def until(end: int, *names: str, since: int = 0, active: bool = False, reason: str = "") -> Eligibility:
    return Eligibility(Party(people=frozenset(names)), since, end, active=active, reason=reason)


def ending(name: str = "web", *lines: Eligibility, renew_s: int = 90 * DAY_S) -> Role:
    return replace(a_role(name), eligible=lines or (until(END, "alice"),), renew_s=renew_s)


async def told(world: CoreWorld) -> list[tuple[str, str, str, object]]:
    """Kind, person, role and days left of each event about an end."""
    events = [*await world.events("eligibility.ending"), *await world.events("eligibility.ended")]
    return [
        (one.event.kind.value, one.event.user, one.event.role, one.event.details.get("days_left", 0)) for one in events
    ]


async def test_an_end_is_told_14_days_and_1_day_before_and_when_it_has_come(world: CoreWorld) -> None:
    await world.person("alice")
    await world.apply(ending())
    seen = []
    for _ in range(30):
        await world.services.eligibility.follow()
        seen.append(len(await told(world)))
        world.clock.advance(DAY_S)
    assert [day for day in range(1, 30) if seen[day] > seen[day - 1]] == [6, 19, 20]
    assert await told(world) == [
        ("eligibility.ending", "alice", "web", 14),
        ("eligibility.ending", "alice", "web", 1),
        ("eligibility.ended", "alice", "web", 0),
    ]


async def test_it_is_told_once_however_many_servers_there_are_and_however_late(world: CoreWorld) -> None:
    await world.person("alice")
    await world.apply(ending())
    world.clock.advance(19.5 * DAY_S)
    for services in (world.services, world.compose(), world.compose()):
        await services.eligibility.follow()
    assert await told(world) == [("eligibility.ending", "alice", "web", 1)]
    world.clock.advance(10 * DAY_S)
    for services in (world.compose(), world.compose()):
        await services.eligibility.follow()
    assert len(await told(world)) == 2


async def test_what_was_told_is_not_written_again_with_each_look(
    world: CoreWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.person("alice")
    await world.person("bob")
    await world.apply(ending("web", until(END, "alice"), until(END + DAY, "bob")))
    write, written = world.store.write, 0

    def counted() -> AbstractAsyncContextManager[Transaction]:
        nonlocal written
        written += 1
        return write()

    monkeypatch.setattr(world.store, "write", counted)
    seen = []
    for _ in range(60):
        for services in (world.services, world.compose()):
            await services.eligibility.follow()
        seen.append(written)
        world.clock.advance(DAY_S)
    assert [day for day in range(1, 60) if seen[day] > seen[day - 1]] == [6, 7, 19, 20, 21]
    assert (written, len(await told(world))) == (5, 6)


async def test_the_next_look_is_when_something_is_due(world: CoreWorld) -> None:
    await world.person("alice")
    await world.apply(ending("web", until(START + 14 * DAY + 60 * SECOND, "alice")))
    assert await world.services.eligibility.follow() == 60
    world.clock.advance(59)
    assert await world.services.eligibility.follow() == 1
    assert await told(world) == []
    world.clock.advance(1)
    await world.services.eligibility.follow()
    assert await told(world) == [("eligibility.ending", "alice", "web", 14)]


async def test_a_change_of_the_policy_is_looked_at_at_once(world: CoreWorld) -> None:
    await world.person("alice")
    await world.apply(replace(a_role(), eligible=people_for_good("alice")))
    await world.services.eligibility.follow()
    await world.apply(ending("web", until(START + 3 * DAY, "alice")))
    await world.services.eligibility.follow()
    assert await told(world) == [("eligibility.ending", "alice", "web", 14)]


async def test_nothing_ends_for_who_stays_eligible_otherwise(world: CoreWorld) -> None:
    await world.person("alice")
    await world.person("bob")
    world.clock.advance(DAY_S)
    lines = (until(END, "alice", "bob"), *people_for_good("alice"), until(END, "nobody-we-know"))
    await world.apply(ending("web", *lines))
    world.clock.advance(25 * DAY_S)
    await world.services.eligibility.follow()
    assert await told(world) == [("eligibility.ended", "bob", "web", 0)]


async def test_the_end_of_a_renewal_is_told_too(world: CoreWorld) -> None:
    alice, carol = await world.person("alice"), await world.person("carol")
    await world.apply(ending(renew_s=30 * DAY_S))
    world.clock.advance(10 * DAY_S)
    await world.services.eligibility.follow()
    view = await world.services.renewals.ask(alice, "web", "still on the team")
    await world.services.renewals.decide(carol, view.renewal.renewal_id, approved=True)
    world.clock.advance(11 * DAY_S)
    await world.services.eligibility.follow()
    assert await told(world) == [("eligibility.ending", "alice", "web", 14)]
    world.clock.advance(29 * DAY_S)
    await world.services.eligibility.follow()
    assert [left for *_, left in await told(world)] == [14, 0]


async def test_what_waits_is_cancelled_at_the_end_and_no_grant_lasts_longer(world: CoreWorld) -> None:
    """S10."""
    await world.person("alice")
    carol, host = await world.person("carol"), await world.host()
    await world.apply(ending("web", until(START + 3_600 * SECOND, "alice")), a_role("db"))
    grant_id = await world.granted(host, carol, duration_s=7_200)
    assert (await world.grant(grant_id)).not_after == START + 3_600 * SECOND
    asked, other = await world.ask(host), await world.ask(host, role="db")
    world.clock.advance(3_599)
    await world.services.eligibility.follow()
    assert (
        await world.services.requests.get(world.root, asked.request.request_id)
    ).request.state is RequestState.PENDING
    world.clock.advance(1)
    await world.services.eligibility.follow()
    views = [await world.services.requests.get(world.root, one.request.request_id) for one in (asked, other)]
    assert [view.request.state for view in views] == [RequestState.CANCELLED, RequestState.PENDING]
    assert await world.wanted(host) == []
    with pytest.raises(Denied, match="was eligible for role web until"):
        await world.ask(host)
    assert await world.state(grant_id) is GrantState.ENDED


async def test_everybody_sees_their_own_and_readers_see_all(world: CoreWorld) -> None:
    alice, bob = await world.person("alice"), await world.person("bob")
    auditor = await world.person("erin", Duty.AUDITOR)
    roles = (
        ending("web", until(END, "alice"), until(END + DAY, "bob", since=START + DAY)),
        ending("db", until(START + DAY, "alice", active=True, reason="on duty"), renew_s=0),
        replace(a_role("root"), eligible=people_for_good(groups=["ops"])),
    )
    world.clock.advance(10 * DAY_S)
    policy = a_policy(*roles, ops=["bob", "alice"])
    await world.services.policy_changes.apply(world.root, world.parser.learn(policy))
    mine = await world.services.eligibility.list_visible(alice)
    assert [(one.role, one.active, one.state, one.until, one.groups) for one in mine.entries] == [
        ("db", True, EntryState.OVER, START + DAY, ()),
        ("root", False, EntryState.CURRENT, 0, ("ops",)),
        ("web", False, EntryState.CURRENT, END, ()),
    ]
    assert [one.renewable_s for one in mine.entries] == [0, 0, 90 * DAY_S]
    assert mine.entries[0].reason == "on duty"
    everybody = await world.services.eligibility.list_visible(auditor)
    assert {one.user for one in everybody.entries} == {"alice", "bob"}
    of_bob = await world.services.eligibility.list_visible(auditor, untrusted_user="bob", untrusted_role="web")
    assert [one.until for one in of_bob.entries] == [END + DAY]
    soon = await world.services.eligibility.list_visible(auditor, ends_within_s=10 * DAY_S)
    assert [(one.user, one.role) for one in soon.entries] == [("alice", "web")]
    with pytest.raises(Denied, match="of others"):
        await world.services.eligibility.list_visible(bob, untrusted_user="alice")
    assert len((await world.services.eligibility.list_visible(bob, untrusted_user="bob")).entries) == 2


async def test_what_is_renewed_says_so_and_is_not_offered_again_while_it_waits(world: CoreWorld) -> None:
    alice, carol = await world.person("alice"), await world.person("carol")
    host = await world.host()
    await world.apply(ending())
    world.clock.advance(10 * DAY_S)
    view = await world.services.renewals.ask_local(host, world.local("alice"), "web", "still on the team")
    waiting = await world.services.eligibility.list_local(host, world.local("alice"))
    assert [one.renewable_s for one in waiting.entries] == [0]
    assert [one.renewal.renewal_id for one in waiting.renewals] == [view.renewal.renewal_id]
    assert [one.user for one in (await world.services.eligibility.list_visible(carol)).renewals] == ["alice"]
    await world.services.renewals.decide(carol, view.renewal.renewal_id, approved=True)
    renewed = await world.services.eligibility.list_visible(alice)
    assert [(one.until, one.renewed) for one in renewed.entries] == [(END, False), (END + 90 * DAY, True)]
