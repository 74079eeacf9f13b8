"""Votes, the grant they make, and who never has one (S7, S8, S10)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from jit_server.adapters.sql import SqlStore
from jit_server.domain.ask import Ask, Command
from jit_server.domain.grant import Grant
from jit_server.domain.identity import Duty, HostCaller, Person
from jit_server.domain.lifecycle import GrantState, RequestState
from jit_server.errors import Conflict, Denied, LimitExceeded, NotFound, Unauthenticated
from jit_server.store import Transaction
from jit_testing.core_world import CoreWorld
from jit_testing.server_fakes import a_role


async def _two(world: CoreWorld) -> tuple[Person, Person, HostCaller]:
    alice, carol = await world.person("alice"), await world.person("carol")
    return alice, carol, await world.host()


async def test_the_approval_makes_the_grant_and_its_clock_starts_then(world: CoreWorld) -> None:
    _, carol, host = await _two(world)
    await world.apply(a_role())
    asked = await world.ask(host, duration_s=600)
    world.clock.advance(3_000)
    with world.changes.subscribe([host.host_id]) as changed:
        view = await world.services.decisions.approve(carol, asked.request.request_id[:10], "go ahead")
        assert await changed.wait() == {host.host_id}
    assert view.request.state is RequestState.APPROVED
    assert [(vote.by, vote.approved, vote.reason) for vote in view.decisions] == [("carol", True, "go ahead")]
    assert view.grant is not None
    assert (view.grant.user, view.grant.host, view.grant.approved_by) == ("alice", "web1", ("carol",))
    grant = view.grant.grant
    assert (grant.not_before, grant.not_after) == (world.clock.now(), world.clock.now() + 600_000_000)
    assert await world.kinds("request") == ["request.created", "request.approved"]
    (issued,) = await world.events("grant")
    assert (issued.event.actor, issued.event.user, issued.event.grant_id) == ("carol", "alice", grant.grant_id)


async def test_a_denial_ends_the_request(world: CoreWorld) -> None:
    _, carol, host = await _two(world)
    await world.apply(a_role())
    asked = await world.ask(host)
    view = await world.services.decisions.deny(carol, asked.request.request_id, "no")
    assert (view.request.state, view.grant) == (RequestState.DENIED, None)
    with pytest.raises(Conflict, match="already denied"):
        await world.services.decisions.approve(carol, asked.request.request_id)
    assert await world.wanted(host) == []
    assert await world.kinds("request") == ["request.created", "request.denied"]


async def test_nobody_approves_themselves_whatever_the_policy_calls_them(world: CoreWorld) -> None:
    """S8: by name, by group, as an administrator, by name in another role: it is one person."""
    alice = await world.person("alice", Duty.ADMIN, account="asmith")
    carol, host = await world.person("carol"), await world.host()
    await world.apply(a_role(approvers=["alice", "asmith", "carol"]))
    asked = await world.ask(host, "asmith")
    assert asked.approvers == ("carol",)
    for decide in (world.services.decisions.approve, world.services.decisions.deny):
        with pytest.raises(Denied, match="their own request"):
            await decide(alice, asked.request.request_id)
    assert await world.kinds("request.approved") == []
    assert (await world.services.decisions.approve(carol, asked.request.request_id)).grant is not None


async def test_nobody_can_be_created_under_an_alias_of_somebody(world: CoreWorld) -> None:
    """S8: a second person that is the first one cannot be made by letter case or by account."""
    await world.person("alice", account="asmith")
    for name, account in (("Alice", "x"), ("asmith", "x"), ("bob", "ALICE"), ("bob", "ASmith")):
        with pytest.raises(Conflict, match="already"):
            await world.person(name, account=account)


async def test_only_approvers_of_the_role_decide(world: CoreWorld) -> None:
    _, carol, host = await _two(world)
    outsider, auditor = await world.person("bob"), await world.person("otto", Duty.AUDITOR)
    await world.apply(a_role())
    request_id = (await world.ask(host)).request.request_id
    with pytest.raises(NotFound):
        await world.services.decisions.approve(outsider, request_id)
    for onlooker in (auditor, world.root):
        with pytest.raises(Denied, match="may not decide"):
            await world.services.decisions.approve(onlooker, request_id)
    await world.services.people.disable(world.root, "carol")
    with pytest.raises(Unauthenticated):
        await world.services.decisions.approve(carol, request_id)
    await world.services.people.enable(world.root, "carol")
    await world.services.decisions.approve(carol, request_id)


async def test_a_quorum_counts_people_not_clicks(world: CoreWorld) -> None:
    """S8."""
    _, carol, host = await _two(world)
    dave = await world.person("dave")
    await world.apply(a_role(approvers=["carol", "dave"], approvals=2))
    request_id = (await world.ask(host)).request.request_id
    first = await world.services.decisions.approve(carol, request_id)
    assert (first.request.state, first.approvers, first.grant) == (RequestState.PENDING, ("dave",), None)
    for again in (world.services.decisions.approve, world.services.decisions.deny):
        with pytest.raises(Conflict, match="voted on this request already"):
            await again(carol, request_id)
    assert await world.wanted(host) == []
    second = await world.services.decisions.approve(dave, request_id)
    assert second.grant is not None
    assert second.grant.approved_by == ("carol", "dave")


async def test_two_approvers_at_once_make_one_grant(world: CoreWorld) -> None:
    _, carol, host = await _two(world)
    dave = await world.person("dave")
    await world.apply(a_role(approvers=["carol", "dave"]))
    request_id = (await world.ask(host)).request.request_id
    results = await asyncio.gather(
        *(world.services.decisions.approve(who, request_id) for who in (carol, dave)), return_exceptions=True
    )
    assert sorted(type(result).__name__ for result in results) == ["Conflict", "RequestView"]
    assert len(await world.wanted(host)) == 1
    assert await world.kinds("grant.issued") == ["grant.issued"]
    assert await world.kinds("request.approved") == ["request.approved"]


async def test_two_approvers_at_once_of_two_needed_are_both_counted(world: CoreWorld) -> None:
    _, carol, host = await _two(world)
    dave = await world.person("dave")
    await world.apply(a_role(approvers=["carol", "dave"], approvals=2))
    request_id = (await world.ask(host)).request.request_id
    await asyncio.gather(*(world.services.decisions.approve(who, request_id) for who in (carol, dave)))
    assert len(await world.wanted(host)) == 1


async def test_an_approval_and_a_denial_at_once_have_one_winner(world: CoreWorld) -> None:
    _, carol, host = await _two(world)
    dave = await world.person("dave")
    await world.apply(a_role(approvers=["carol", "dave"]))
    request_id = (await world.ask(host)).request.request_id
    results = await asyncio.gather(
        world.services.decisions.approve(carol, request_id),
        world.services.decisions.deny(dave, request_id),
        return_exceptions=True,
    )
    assert [isinstance(result, Conflict) for result in results].count(True) == 1
    state = (await world.services.requests.get(carol, request_id)).request.state
    assert len(await world.wanted(host)) == (1 if state is RequestState.APPROVED else 0)


class Crash(Exception):
    """The process dies here."""


class CrashingGrants:
    """Grants that die after the grant was added."""

    def __init__(self, real: object) -> None:
        self._real = real

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)

    async def add(self, grant: Grant) -> None:
        await self._real.add(grant)  # type: ignore[attr-defined]
        raise Crash


class CrashingStore:
    """A store whose process dies before the commit of a grant."""

    def __init__(self, real: SqlStore) -> None:
        self._real = real
        self.read = real.read
        self.close = real.close

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Transaction]:
        async with self._real.write() as tx:
            yield replace(tx, grants=CrashingGrants(tx.grants))  # type: ignore[arg-type]


async def test_a_crash_before_the_commit_of_an_approval_leaves_nothing_of_it(world: CoreWorld) -> None:
    """S7: vote, move, grant, generation and events are one transaction."""
    _, carol, host = await _two(world)
    await world.apply(a_role())
    request_id = (await world.ask(host)).request.request_id
    generation, events = await world.services.delivery.generation(host), await world.kinds()
    real = world.store
    world.store = CrashingStore(real)  # type: ignore[assignment]
    crashing = world.compose()
    world.store = real
    with pytest.raises(Crash):
        await crashing.decisions.approve(carol, request_id)

    view = await world.services.requests.get(carol, request_id)
    assert (view.request.state, view.decisions, view.grant) == (RequestState.PENDING, (), None)
    assert await world.services.delivery.generation(host) == generation
    assert await world.kinds() == events
    assert (await world.services.decisions.approve(carol, request_id)).grant is not None


async def test_a_request_that_nobody_decided_in_time_cannot_be_approved(world: CoreWorld) -> None:
    _, carol, host = await _two(world)
    await world.apply(a_role())
    request_id = (await world.ask(host)).request.request_id
    world.clock.advance(24 * 3_600)
    with pytest.raises(Conflict, match="lapsed"):
        await world.services.decisions.approve(carol, request_id)
    assert (await world.services.requests.get(carol, request_id)).request.state is RequestState.LAPSED
    assert await world.kinds("request") == ["request.created", "request.lapsed"]


async def test_votes_of_people_who_lost_the_right_do_not_count(world: CoreWorld) -> None:
    """S10: at the last vote the policy is asked again."""
    _, carol, host = await _two(world)
    dave, erin = await world.person("dave"), await world.person("erin")
    role = a_role(approvers=["carol", "dave", "erin"], approvals=2)
    await world.apply(role)
    request_id = (await world.ask(host)).request.request_id
    await world.services.decisions.approve(carol, request_id)
    await world.apply(replace(role, approvers=replace(role.approvers, people=frozenset({"dave", "erin"}))))
    second = await world.services.decisions.approve(dave, request_id)
    assert (second.request.state, second.grant) == (RequestState.PENDING, None)
    third = await world.services.decisions.approve(erin, request_id)
    assert third.grant is not None
    assert third.grant.approved_by == ("dave", "erin")


async def test_an_exact_ask_grants_that_command_only(world: CoreWorld) -> None:
    _, carol, host = await _two(world)
    await world.apply(a_role(shell=True))
    asked = await world.ask(host, ask=Ask(("/usr/bin/id", "-u"), exact=True))
    view = await world.services.decisions.approve(carol, asked.request.request_id)
    assert view.grant is not None
    assert (view.grant.grant.commands, view.grant.grant.shell) == ((Command("/usr/bin/id", ("-u",)),), False)
    whole = await world.granted(host, carol)
    assert ((await world.grant(whole)).commands, (await world.grant(whole)).shell) == ("ALL", True)


async def test_a_reason_over_the_limit_is_refused(world: CoreWorld) -> None:
    _, carol, host = await _two(world)
    await world.apply(a_role())
    request_id = (await world.ask(host)).request.request_id
    with pytest.raises(LimitExceeded):
        await world.services.decisions.deny(carol, request_id, "x" * 1_001)
    assert (await world.services.requests.get(carol, request_id)).request.state is RequestState.PENDING


async def test_grants_are_revoked_by_approvers_and_administrators_and_dropped_by_their_owner(world: CoreWorld) -> None:
    alice, carol, host = await _two(world)
    bob, auditor = await world.person("bob"), await world.person("otto", Duty.AUDITOR)
    await world.apply(a_role())
    first, second, third = [await world.delivered(host, carol) for _ in range(3)]
    with pytest.raises(NotFound):
        await world.services.grants.revoke(bob, first)
    for onlooker in (alice, auditor):
        with pytest.raises(Denied, match="only an approver"):
            await world.services.grants.revoke(onlooker, first)
    with pytest.raises(NotFound):
        await world.services.grants.drop(carol, first)

    assert (await world.services.grants.revoke(carol, first, "enough")).grant.state is GrantState.ENDING
    assert (await world.services.grants.revoke(world.root, second)).grant.end_reason == "revoked"
    assert (await world.services.grants.drop(alice, third)).grant.end_reason == "dropped"
    assert await world.wanted(host) == []
    assert await world.kinds("grant.revoked") == ["grant.revoked"] * 2
    assert await world.kinds("grant.drop_asked") == ["grant.drop_asked"]
    with pytest.raises(Conflict, match="already ending"):
        await world.services.grants.revoke(carol, first)


async def test_a_grant_that_was_never_signed_is_over_as_soon_as_it_is_revoked(world: CoreWorld) -> None:
    _, carol, host = await _two(world)
    await world.apply(a_role())
    grant_id = await world.granted(host, carol)
    view = await world.services.grants.revoke(carol, grant_id)
    assert (view.grant.state, view.end_confirmed) == (GrantState.ENDED, True)
    assert await world.kinds("grant") == ["grant.issued", "grant.revoked", "grant.ended"]


async def test_the_lists_show_what_is_not_over_unless_asked(world: CoreWorld) -> None:
    alice, carol, host = await _two(world)
    await world.apply(a_role())
    ended = await world.granted(host, carol)
    await world.services.grants.revoke(carol, ended)
    live = await world.granted(host, carol)
    assert [view.grant.grant_id for view in await world.services.grants.list_visible(alice)] == [live]
    over = await world.services.grants.list_visible(alice, [GrantState.ENDED])
    assert [view.grant.grant_id for view in over] == [ended]
    mine = await world.services.requests.list_mine(host, world.local("alice"), over_too=False)
    assert [view.grant.grant.grant_id for view in mine if view.grant] == [live]
    assert len(await world.services.requests.list_mine(host, world.local("alice"), over_too=True)) == 2
    with pytest.raises(LimitExceeded):
        await world.services.grants.list_visible(alice, limit=1_001)
    with pytest.raises(LimitExceeded):
        await world.services.requests.list_visible(alice, limit=0)
