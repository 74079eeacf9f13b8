"""Eligibilities that are made to last longer, by asking and by the word of somebody else (SPEC 9.7)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jit_server.domain.identity import Duty, Person
from jit_server.domain.lifecycle import GrantState
from jit_server.domain.policy.model import Eligibility, Party, Role
from jit_server.domain.renewal import RenewalState
from jit_server.errors import Conflict, Denied, Invalid, NotFound
from jit_server.services.locks import NewLock
from jit_server.services.renewals import RenewalView
from jit_testing.core_world import CoreWorld
from jit_testing.server_fakes import SECOND, START, a_role, people_for_good

DAY_S = 86_400
DAY = DAY_S * SECOND
END = START + 20 * DAY
RENEW_S = 90 * DAY_S


def ending(
    name: str = "web", *, until: int = END, renew_s: int = RENEW_S, people: tuple[str, ...] = ("alice",)
) -> Role:
    """A role for which people are eligible until then."""
    line = Eligibility(Party(people=frozenset(people)), until=until)
    return replace(a_role(name), eligible=(line,), renew_s=renew_s)


async def staffed(world: CoreWorld, *roles: Role) -> tuple[Person, Person]:
    """alice, who is eligible, and carol, who approves."""
    alice, carol = await world.person("alice"), await world.person("carol")
    await world.apply(*(roles or (ending(),)))
    return alice, carol


async def asked(world: CoreWorld, alice: Person, role: str = "web") -> RenewalView:
    return await world.services.renewals.ask(alice, role, "still on the team")


async def can_ask(world: CoreWorld, alice: Person) -> bool:
    found = await world.services.policy_answers.what_can(alice, "alice")
    return bool(found)


async def test_an_eligibility_is_renewed_from_its_end_on(world: CoreWorld) -> None:
    alice, carol = await staffed(world)
    await world.host()
    world.clock.advance(6 * DAY_S)
    view = await asked(world, alice)
    assert (view.renewal.state, view.renewal.until) == (RenewalState.PENDING, END + RENEW_S * SECOND)
    assert view.approvers == ("carol", "root-admin")
    decided = await world.services.renewals.decide(carol, view.renewal.renewal_id[:10], approved=True)
    assert decided.renewal.until == END + RENEW_S * SECOND
    assert decided.decision is not None
    assert decided.decision.by == "carol"
    world.clock.advance((END - world.clock.now()) / SECOND + RENEW_S - 1)
    assert await can_ask(world, alice)
    world.clock.advance(1)
    assert not await can_ask(world, alice)
    kinds = await world.kinds()
    assert kinds.count("eligibility.renewal_asked") == kinds.count("eligibility.renewed") == 1


async def test_one_that_has_ended_is_renewed_from_now_on_and_can_be_again(world: CoreWorld) -> None:
    alice, carol = await staffed(world)
    await world.host()
    world.clock.advance(50 * DAY_S)
    assert not await can_ask(world, alice)
    first = await asked(world, alice)
    world.clock.advance(3 * DAY_S)
    decided = await world.services.renewals.decide(carol, first.renewal.renewal_id, approved=True)
    assert decided.renewal.until == world.clock.now() + RENEW_S * SECOND
    assert await can_ask(world, alice)
    with pytest.raises(Denied, match="ends only at"):
        await asked(world, alice)
    world.clock.advance(80 * DAY_S)
    second = await asked(world, alice)
    decided = await world.services.renewals.decide(carol, second.renewal.renewal_id, approved=True)
    assert decided.renewal.until == first.renewal.asked_at + (3 + 90 + 90) * DAY


async def test_it_can_be_asked_for_from_14_days_before_the_end_to_30_days_after_it(world: CoreWorld) -> None:
    alice, _ = await staffed(world)
    world.clock.advance(6 * DAY_S - 1)
    with pytest.raises(Denied, match="ends only at") as early:
        await asked(world, alice)
    assert early.value.hint.startswith("ask from ")
    world.clock.advance(1)
    await asked(world, alice)
    world.clock.advance(44 * DAY_S)
    await world.services.renewals.lapse()
    await asked(world, alice)
    world.clock.advance(14 * DAY_S + 1)
    with pytest.raises(Denied, match="too long ago"):
        await asked(world, alice)


async def test_what_cannot_be_renewed_says_why(world: CoreWorld) -> None:
    roles = (
        ending(),
        replace(ending("forever"), eligible=people_for_good("alice")),
        ending("fixed", renew_s=0),
        replace(
            ending("mine"), eligible=(Eligibility(Party(frozenset({"alice"})), until=END, active=True, reason="r"),)
        ),
        ending("others", people=("bob",)),
    )
    alice, _ = await staffed(world, *roles)
    world.clock.advance(10 * DAY_S)
    for role, why in (
        ("forever", "without an end"),
        ("fixed", "are not renewed"),
        ("mine", "nothing to renew"),
        ("others", "nothing to renew"),
        ("nowhere", "nothing to renew"),
    ):
        with pytest.raises(Denied, match=why):
            await asked(world, alice, role)
    with pytest.raises(Invalid, match="reason"):
        await world.services.renewals.ask(alice, "web", "  ")
    assert (await asked(world, alice)).renewal.role == "web"


async def test_one_waits_at_a_time_and_lapses_after_14_days(world: CoreWorld) -> None:
    alice, carol = await staffed(world)
    world.clock.advance(10 * DAY_S)
    view = await asked(world, alice)
    with pytest.raises(Conflict, match="already"):
        await asked(world, alice)
    world.clock.advance(14 * DAY_S - 1)
    assert await world.services.renewals.lapse() == 0
    world.clock.advance(1)
    with pytest.raises(Conflict, match="lapsed"):
        await world.services.renewals.decide(carol, view.renewal.renewal_id, approved=True)
    assert await world.services.renewals.lapse() == 0
    assert (await world.kinds("eligibility.renewal_lapsed")) == ["eligibility.renewal_lapsed"]
    assert not await can_ask(world, alice)
    assert (await asked(world, alice)).renewal.state is RenewalState.PENDING


async def test_nobody_decides_on_their_own_and_only_approvers_and_administrators_do(world: CoreWorld) -> None:
    both = replace(ending(people=("alice", "carol", "root-admin")))
    alice, carol = await staffed(world, both)
    dave, auditor = await world.person("dave"), await world.person("erin", Duty.AUDITOR)
    world.clock.advance(10 * DAY_S)
    services = world.services.renewals
    hers, roots, alices = await asked(world, carol), await asked(world, world.root), await asked(world, alice)
    assert "carol" not in hers.approvers
    assert roots.approvers == ("carol",)
    for person, view in ((carol, hers), (world.root, roots)):
        with pytest.raises(Denied, match="their own"):
            await services.decide(person, view.renewal.renewal_id, approved=True)
    with pytest.raises(NotFound):
        await services.decide(dave, alices.renewal.renewal_id, approved=True)
    with pytest.raises(Denied, match="may not decide"):
        await services.decide(auditor, alices.renewal.renewal_id, approved=True)
    assert (await services.decide(world.root, hers.renewal.renewal_id, approved=True)).renewal.until
    assert (await services.decide(carol, roots.renewal.renewal_id, approved=False)).renewal.state is RenewalState.DENIED
    with pytest.raises(Conflict, match="already denied"):
        await services.decide(carol, roots.renewal.renewal_id, approved=True)


@pytest.mark.parametrize(("kind", "target"), [("user", "alice"), ("role", "web")])
async def test_a_lock_keeps_from_asking_and_from_approving(world: CoreWorld, kind: str, target: str) -> None:
    alice, carol = await staffed(world)
    world.clock.advance(10 * DAY_S)
    view = await asked(world, alice)
    lock = await world.services.locks.create(world.root, NewLock(kind, target, "stolen laptop", 0))
    with pytest.raises(Denied, match="locked"):
        await world.services.renewals.decide(carol, view.renewal.renewal_id, approved=True)
    with pytest.raises(Denied, match="locked"):
        await asked(world, alice)
    await world.services.locks.lift(world.root, lock.lock_id, "found it")
    await world.services.renewals.decide(carol, view.renewal.renewal_id, approved=True)


async def test_who_is_locked_or_disabled_decides_on_nothing(world: CoreWorld) -> None:
    alice, carol = await staffed(world)
    world.clock.advance(10 * DAY_S)
    view = await asked(world, alice)
    await world.services.locks.create(world.root, NewLock("user", "carol", "away", 0))
    with pytest.raises(Denied, match="may not decide"):
        await world.services.renewals.decide(carol, view.renewal.renewal_id, approved=True)
    await world.services.people.disable(world.root, "alice")
    with pytest.raises(Denied, match="alice is disabled"):
        await world.services.renewals.decide(world.root, view.renewal.renewal_id, approved=True)


@pytest.mark.parametrize("after", ["dropped", "other end", "role gone"])
async def test_a_renewal_ends_with_its_line_and_does_not_come_back_with_it(world: CoreWorld, after: str) -> None:
    """S10: what the files take away is gone, and its grants with it."""
    alice, carol = await staffed(world)
    host = await world.host()
    world.clock.advance(19 * DAY_S)
    view = await asked(world, alice)
    await world.services.renewals.decide(carol, view.renewal.renewal_id, approved=True)
    world.clock.advance(5 * DAY_S)
    grant_id = await world.granted(host, carol)
    other = {
        "dropped": ending(people=("bob",)),
        "other end": ending(until=END + DAY),
        "role gone": ending("db"),
    }[after]
    await world.apply(other)
    assert await world.state(grant_id) is GrantState.ENDED
    assert not await can_ask(world, alice)
    (event,) = await world.events("eligibility.ended")
    assert (event.event.user, event.event.role) == ("alice", "web")
    await world.apply(ending())
    assert not await can_ask(world, alice)


async def test_a_renewal_outlives_a_change_of_everything_else(world: CoreWorld) -> None:
    alice, carol = await staffed(world)
    await world.host()
    world.clock.advance(19 * DAY_S)
    view = await asked(world, alice)
    await world.services.renewals.decide(carol, view.renewal.renewal_id, approved=True)
    world.clock.advance(5 * DAY_S)
    await world.apply(ending(people=("alice", "bob"), renew_s=DAY_S), ending("db"))
    assert await can_ask(world, alice)


async def test_what_waits_lapses_when_the_files_drop_the_person(world: CoreWorld) -> None:
    alice, carol = await staffed(world)
    world.clock.advance(10 * DAY_S)
    view = await asked(world, alice)
    await world.apply(ending(people=("bob",)))
    with pytest.raises(Conflict, match="already lapsed"):
        await world.services.renewals.decide(carol, view.renewal.renewal_id, approved=True)
