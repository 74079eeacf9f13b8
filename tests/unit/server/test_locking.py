"""Locks at work: what one ends, what it keeps from beginning, who may make and lift it (S6, S7, S10)."""

from __future__ import annotations

import asyncio

import pytest

from jit_server.domain.identity import Duty, HostCaller, Person
from jit_server.domain.lifecycle import GrantState, RequestState
from jit_server.domain.lock import Lock
from jit_server.errors import Conflict, Denied, Invalid, LimitExceeded, NotFound
from jit_server.services.filing import NewRequest
from jit_server.services.locks import NewLock
from jit_testing.core_world import CoreWorld
from jit_testing.server_fakes import A_LOGIN, PASSWORD, a_role, an_ask

HOUR = 3_600


async def _three(world: CoreWorld) -> tuple[Person, Person, HostCaller]:
    alice, carol, host = await world.person("alice"), await world.person("carol"), await world.host()
    await world.person("bob")
    await world.apply(a_role(eligible=["alice", "bob"]), a_role("db", eligible=["alice", "bob"]))
    return alice, carol, host


async def _lock(
    world: CoreWorld, kind: str = "user", target: str = "alice", *, by: Person | None = None, duration_s: int = 0
) -> Lock:
    return await world.services.locks.create(by or world.root, NewLock(kind, target, "stolen laptop", duration_s))


@pytest.mark.parametrize(("kind", "target"), [("user", "alice"), ("host", "web1"), ("role", "web")])
async def test_a_lock_ends_what_it_hits_and_nothing_else_in_one_moment(
    world: CoreWorld, kind: str, target: str
) -> None:
    """S6, S7: in the transaction that makes the lock, and the host is told at once."""
    _, carol, host = await _three(world)
    web2 = await world.host("web2")
    hit = await world.delivered(host, carol, "alice")
    pending = await world.ask(host, "alice")
    spared = await world.granted(web2, carol, "bob", "db")
    with world.changes.subscribe([host.host_id]) as changed:
        lock = await _lock(world, kind, target)
        assert await changed.wait() == {host.host_id}
    assert (lock.grants_ended, lock.requests_cancelled) == (1, 1)
    assert await world.state(hit) is GrantState.ENDING
    assert await world.wanted(host) == []
    view = await world.services.requests.get(carol, pending.request.request_id)
    assert view.request.state is RequestState.CANCELLED
    assert await world.wanted(web2) == [spared]
    (created,) = await world.events("lock")
    event = created.event
    assert (event.kind, event.actor) == ("lock.created", "root-admin")
    assert target in {event.user, event.host, event.role}
    assert event.details == {
        "lock": lock.lock_id,
        "reason": "stolen laptop",
        "expires_at": None,
        "grants_ended": 1,
        "requests_cancelled": 1,
    }
    (revoked,) = await world.events("grant.revoked")
    assert revoked.event.details["reason"] == str(lock)


@pytest.mark.parametrize(("kind", "target"), [("user", "alice"), ("host", "web1"), ("role", "web")])
async def test_while_a_lock_stands_nothing_it_hits_begins_and_afterwards_it_does(
    world: CoreWorld, kind: str, target: str
) -> None:
    _, carol, host = await _three(world)
    lock = await _lock(world, kind, target)
    shown = await world.services.requests.plan(host, world.local("alice"), an_ask(), A_LOGIN, "web")
    assert (shown.choices, shown.refusals[0].why) == ((), str(lock))
    assert lock.lock_id in shown.refusals[0].hint
    with pytest.raises(Denied, match=r"is locked: stolen laptop \(by root-admin\)"):
        await world.ask(host, "alice")
    (refused,) = await world.events("request.refused")
    assert refused.event.details["why"] == str(lock)
    await world.services.locks.lift(world.root, lock.lock_id, "found it")
    assert await world.granted(host, carol, "alice") in await world.wanted(host)


async def test_a_locked_role_leaves_the_others_and_is_told_among_them(world: CoreWorld) -> None:
    await _three(world)
    host = await world.host("web3")
    await _lock(world, "role", "web")
    shown = await world.services.requests.plan(host, world.local("alice"), an_ask(), A_LOGIN)
    assert [choice.role.name for choice in shown.choices] == ["db"]
    assert [refusal.role for refusal in shown.refusals] == ["web"]


async def test_who_is_locked_hears_it_once_and_not_for_each_role(world: CoreWorld) -> None:
    _, _, host = await _three(world)
    await _lock(world)
    shown = await world.services.requests.plan(host, world.local("alice"), an_ask(), A_LOGIN)
    assert len(shown.refusals) == 1


async def test_an_approval_and_a_lock_at_once_leave_nothing_in_force(world: CoreWorld) -> None:
    _, carol, host = await _three(world)
    asked = await world.ask(host, "alice")
    await asyncio.gather(
        world.services.decisions.approve(carol, asked.request.request_id), _lock(world), return_exceptions=True
    )
    assert await world.wanted(host) == []
    assert await world.services.requests.list_visible(carol) == ()


async def test_a_change_of_policy_does_not_forget_the_locks(world: CoreWorld) -> None:
    _, _, host = await _three(world)
    await _lock(world)
    await world.apply(a_role(eligible=["alice"], max_s=600))
    with pytest.raises(Denied, match="is locked"):
        await world.ask(host, "alice")


async def test_a_lock_counts_no_more_from_the_instant_its_time_is_up(world: CoreWorld) -> None:
    """Checked at use; the timer only writes it down."""
    _, _, host = await _three(world)
    lock = await _lock(world, duration_s=HOUR)
    world.clock.advance(HOUR - 1)
    with pytest.raises(Denied, match="is locked until"):
        await world.ask(host, "alice")
    assert await world.services.locks.expire() == 0
    world.clock.advance(1)
    await world.ask(host, "alice")
    (listed,) = await world.services.locks.list_visible(world.root, over_too=True)
    assert (listed.lifted_at, listed.lifted_by) == (lock.expires_at, "")
    assert await world.services.locks.list_visible(world.root, over_too=False) == ()
    with pytest.raises(Conflict, match="stands no more"):
        await world.services.locks.lift(world.root, lock.lock_id, "late")
    assert await world.services.locks.expire() == 1
    assert await world.services.locks.expire() == 0
    (lifted,) = await world.events("lock.lifted")
    assert (lifted.event.actor, lifted.event.user) == ("server", "alice")
    assert lifted.event.details == {"lock": lock.lock_id, "reason": "its time was up"}


async def test_two_locks_on_one_thing_have_both_to_be_lifted(world: CoreWorld) -> None:
    _, _, host = await _three(world)
    first, second = await _lock(world), await _lock(world)
    await world.services.locks.lift(world.root, first.lock_id, "mine is settled")
    with pytest.raises(Denied, match="is locked"):
        await world.ask(host, "alice")
    with pytest.raises(Conflict, match="stands no more"):
        await world.services.locks.lift(world.root, first.lock_id, "again")
    await world.services.locks.lift(world.root, second.lock_id[4:12].upper(), "the other too")
    await world.ask(host, "alice")
    assert await world.kinds("lock") == ["lock.created", "lock.created", "lock.lifted", "lock.lifted"]


async def test_administrators_lock_everything_and_approvers_their_roles(world: CoreWorld) -> None:
    alice, carol, _ = await _three(world)
    otto = await world.person("otto", Duty.AUDITOR)
    assert (await _lock(world, "role", "web", by=carol)).created_by == "carol"
    for kind, target in (("user", "alice"), ("host", "web1")):
        with pytest.raises(Denied, match=f"only an administrator may lock this {kind}"):
            await _lock(world, kind, target, by=carol)
    for nobody in (alice, otto):
        for role in ("web", "no-such-role"):
            with pytest.raises(Denied, match="only an administrator or an approver of it may lock this role"):
                await _lock(world, "role", role, by=nobody)
    assert len(await world.kinds("lock")) == 1


async def test_approvers_lift_only_what_they_locked_themselves(world: CoreWorld) -> None:
    alice, carol, _ = await _three(world)
    dave = await world.person("dave")
    await world.apply(a_role(approvers=["carol", "dave"]))
    own, admins = await _lock(world, "role", "web", by=carol), await _lock(world, "role", "web")
    lift = world.services.locks.lift
    for who, lock in ((dave, own), (carol, admins)):
        with pytest.raises(Denied, match=f"only an administrator or {lock.created_by} may lift"):
            await lift(who, lock.lock_id, "please")
    with pytest.raises(NotFound):
        await lift(alice, own.lock_id, "please")
    await lift(carol, own.lock_id, "done")
    await lift(world.root, admins.lock_id, "done")


async def test_who_is_locked_lifts_no_lock_decides_on_nothing_and_still_ends_things(world: CoreWorld) -> None:
    """A stolen login must not undo the lock; but removing a right is never blocked (S6)."""
    _, carol, host = await _three(world)
    second = await world.person("second-admin", Duty.ADMIN)
    grant_id = await world.granted(host, carol, "bob")
    asked = await world.ask(host, "bob")
    lock = await _lock(world, "user", "second-admin")
    with pytest.raises(Denied, match="who is locked lifts no lock"):
        await world.services.locks.lift(second, lock.lock_id, "it is me")
    await _lock(world, "user", "carol")
    with pytest.raises(Denied, match="carol may not decide"):
        await world.services.decisions.approve(carol, asked.request.request_id)
    await world.services.grants.revoke(carol, grant_id, "in doubt")
    await _lock(world, "role", "db", by=second)
    assert await world.wanted(host) == []


async def test_a_lock_keeps_nobody_out_of_jitctl(world: CoreWorld) -> None:
    """The last administrator can be locked, and still logs in."""
    root, totp = await world.with_factor("alice")
    await _lock(world, "user", "root-admin")
    await _lock(world, "user", "alice")
    logged_in = await world.services.login.login("alice", PASSWORD, world.code(totp), "csr")
    assert logged_in.certificate.expires_at > world.clock.now()
    assert (await world.services.people.whoami(root)).user.name == "alice"
    assert (await world.services.people.whoami(world.root)).user.name == "root-admin"


async def test_a_host_that_enrols_again_under_its_name_is_still_locked(world: CoreWorld) -> None:
    _, _, host = await _three(world)
    await _lock(world, "host", host.host_id[:12])
    await world.services.hosts.remove(world.root, "web1")
    again = await world.host("web1")
    with pytest.raises(Denied, match="host web1 is locked"):
        await world.ask(again, "alice")


async def test_a_role_whose_policy_is_gone_can_still_be_locked_while_it_has_grants(world: CoreWorld) -> None:
    """S6: removing waits for no policy."""
    _, carol, host = await _three(world)
    await world.granted(host, carol, "alice")
    await world.apply(a_role("db"))
    assert (await _lock(world, "role", "web")).target == "web"
    with pytest.raises(NotFound, match="no role"):
        await _lock(world, "role", "wep")


async def test_bad_locks_are_refused_and_leave_nothing(world: CoreWorld) -> None:
    await _three(world)
    create = world.services.locks.create
    for bad, error in (
        (NewLock("fleet", "alice", "x"), Invalid),
        (NewLock("user", "nobody", "x"), NotFound),
        (NewLock("host", "nowhere", "x"), NotFound),
        (NewLock("user", "alice", "  "), Invalid),
        (NewLock("user", "alice", "x" * 1_001), LimitExceeded),
        (NewLock("user", "alice", "x", -1), Invalid),
    ):
        with pytest.raises(error):
            await create(world.root, bad)
    lock = await _lock(world)
    for reason in ("", " ", "x" * 1_001):
        with pytest.raises(Invalid):
            await world.services.locks.lift(world.root, lock.lock_id, reason)
    assert len(await world.kinds("lock")) == 1


async def test_everybody_sees_the_locks_they_are_concerned_with(world: CoreWorld) -> None:
    alice, carol, _ = await _three(world)
    otto = await world.person("otto", Duty.AUDITOR)
    for kind, target in (("user", "alice"), ("user", "bob"), ("host", "web1"), ("role", "web")):
        await _lock(world, kind, target)
        world.clock.advance(1)

    async def seen(who: Person) -> list[str]:
        return [lock.target for lock in await world.services.locks.list_visible(who, over_too=False)]

    assert await seen(world.root) == await seen(otto) == ["web", "web1", "bob", "alice"]
    assert await seen(carol) == ["web"]
    assert await seen(alice) == ["alice"]


async def test_a_locked_person_can_take_back_what_they_asked_before(world: CoreWorld) -> None:
    alice, _, host = await _three(world)
    asked = await world.services.requests.create(host, world.local("alice"), NewRequest("db", an_ask()))
    await _lock(world, "role", "web")
    view = await world.services.requests.cancel(alice, asked.request.request_id)
    assert view.request.state is RequestState.CANCELLED
