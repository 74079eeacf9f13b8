"""More time than the role's maximum: it is asked for, and voted on, like a new request (S7, S8, S9, S10)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from jit_server.domain.identity import HostCaller, Person
from jit_server.domain.lifecycle import GrantState, RequestState
from jit_server.domain.policy.model import Extend, Role
from jit_server.errors import Conflict, Denied, Invalid, Unauthenticated
from jit_testing.core_world import CoreWorld, proof
from jit_testing.server_fakes import SECOND, a_role

ROLE = a_role(max_s=3_600)
"""30 minutes unless asked otherwise, an hour in all."""


async def _live(world: CoreWorld, role: Role = ROLE, **ask: Any) -> tuple[HostCaller, Person, str]:
    """alice's grant in force on web1; carol approves."""
    await world.person("alice")
    carol = await world.person("carol")
    host = await world.host()
    await world.apply(role)
    grant_id = await world.granted(host, carol, **ask)
    await world.take(host, grant_id)
    return host, carol, grant_id


async def test_past_the_maximum_another_person_has_to_approve_and_the_vote_extends(world: CoreWorld) -> None:
    host, carol, grant_id = await _live(world, replace(ROLE, approvals=1), duration_s=3_600)
    end = (await world.grant(grant_id)).not_after
    asked = await world.extend(host, grant_id, duration_s=1_800, reason="not done yet")
    request_id = asked.request.request_id
    assert (asked.request.state, asked.grant, asked.approvers) == (RequestState.PENDING, None, ("carol",))
    assert asked.request.lapses_at == end
    with pytest.raises(Conflict, match=f"{request_id} asks for more time"):
        await world.extend(host, grant_id, duration_s=60)

    world.clock.advance(60)
    with world.changes.subscribe([request_id]) as changed:
        view = await world.services.decisions.approve(carol, request_id, "go on")
        assert await changed.wait() == {request_id}
    assert view.grant is not None
    assert view.grant.grant.not_after == end + 1_800 * SECOND == (await world.signed(host, grant_id))["until"]
    (extended,) = await world.events("grant.extended")
    assert (extended.event.actor, extended.event.details["new_end"]) == ("carol", end + 1_800 * SECOND)
    assert await world.kinds("grant.issued") == ["grant.issued"]
    # What was approved past the maximum does not end with the next policy that is like this one.
    assert await world.apply(replace(ROLE, description="new words")) == 0
    assert await world.state(grant_id) is GrantState.ACTIVE
    # The person alone cannot go on from there.
    assert (await world.extend(host, grant_id, duration_s=60)).request.state is RequestState.PENDING


async def test_nobody_approves_their_own_extension(world: CoreWorld) -> None:
    """S8."""
    host, carol, grant_id = await _live(world, a_role(max_s=600, approvers=["alice", "carol"]), duration_s=600)
    asked = await world.extend(host, grant_id, duration_s=60)
    assert asked.approvers == ("carol",)
    async with world.store.read() as tx:
        alice = await tx.people.by_name("alice")
    assert alice is not None
    with pytest.raises(Denied, match="own request"):
        await world.services.decisions.approve(Person(alice.user_id), asked.request.request_id)
    assert (await world.services.decisions.approve(carol, asked.request.request_id)).grant is not None


async def test_past_the_maximum_it_takes_all_that_a_new_request_takes(world: CoreWorld) -> None:
    """S9: and the code is used up only once all else is there."""
    carol, host = await world.person("carol"), await world.host()
    _, totp = await world.with_factor("alice")
    await world.apply(a_role(max_s=600, mfa=True, reason=True, ticket=True))
    asked = await world.ask(host, duration_s=300, ticket="T-1", otp=world.code(totp))
    grant_id = (await world.services.decisions.approve(carol, asked.request.request_id)).grant.grant.grant_id  # type: ignore[union-attr]
    await world.take(host, grant_id)

    async def extend(**what: Any) -> Any:
        return await world.extend(host, grant_id, duration_s=301, **what)

    assert (await world.extend(host, grant_id, duration_s=30)).grant is not None
    world.clock.advance(30)
    words = {"reason": "more to do", "ticket": "T-2"}
    with pytest.raises(Invalid, match="needs a reason: this is past the maximum of role web, 10m in all") as missing:
        await extend()
    assert missing.value.hint == "say why with -m REASON; up to 4m30s more needs nothing: -d 4m30s"
    with pytest.raises(Invalid, match="needs a ticket"):
        await extend(reason="more to do")
    with pytest.raises(Unauthenticated, match="a one-time code is needed"):
        await extend(**words)
    with pytest.raises(Unauthenticated, match="wrong one-time code"):
        await extend(**words, otp="000000" if world.code(totp) != "000000" else "000001")
    asked = await extend(**words, otp=world.code(totp))
    assert (asked.request.state, asked.request.mfa_passed) == (RequestState.PENDING, True)
    assert (asked.request.reason, asked.request.ticket) == ("more to do", "T-2")
    with pytest.raises(Invalid, match="not a duration role web allows"):
        await world.extend(host, grant_id, duration_s=601, **words)


async def test_past_the_maximum_of_a_role_without_approvals_nobody_is_asked(world: CoreWorld) -> None:
    host, _, grant_id = await _live(world, a_role(max_s=600), duration_s=600)
    await world.services.grants.revoke(world.root, grant_id)
    await world.apply(a_role(max_s=600, approvals=0, approvers=[], reason=True))
    grant = (await world.ask(host, duration_s=600)).grant
    assert grant is not None
    world.clock.advance(60)
    with pytest.raises(Invalid, match="needs a reason"):
        await world.extend(host, grant.grant.grant_id, duration_s=60)
    view = await world.extend(host, grant.grant.grant_id, duration_s=60, reason="more")
    assert view.grant is not None
    assert view.grant.grant.not_after == grant.grant.not_after + 60 * SECOND


async def test_what_nobody_approves_never_reaches_further_than_the_maximum_from_now(world: CoreWorld) -> None:
    """Or one extension after the other would make a right for weeks."""
    await world.person("alice")
    host = await world.host()
    await world.apply(a_role(max_s=600, approvals=0, approvers=[]))
    grant = (await world.ask(host, duration_s=600)).grant
    assert grant is not None
    grant_id, end = grant.grant.grant_id, grant.grant.not_after
    with pytest.raises(Invalid, match="never reach further than 10m from now") as at_once:
        await world.extend(host, grant_id, duration_s=60)
    assert at_once.value.hint == "ask again nearer to its end"
    world.clock.advance(90)
    with pytest.raises(Invalid, match="10m more is too much") as too_long:
        await world.extend(host, grant_id, duration_s=600)
    assert too_long.value.hint == "ask for 1m30s at most: -d 1m30s"
    await world.extend(host, grant_id, duration_s=90)
    assert (await world.grant(grant_id)).not_after == end + 90 * SECOND
    with pytest.raises(Invalid):
        await world.extend(host, grant_id, duration_s=1)


async def test_a_pending_extension_does_not_outlive_a_change_of_how_its_role_extends(world: CoreWorld) -> None:
    host, carol, grant_id = await _live(world, duration_s=3_600)
    asked = await world.extend(host, grant_id, duration_s=60)
    await world.apply(replace(ROLE, extend=Extend.NEVER))
    assert await world.state(grant_id) is GrantState.ACTIVE
    with pytest.raises(Conflict, match="already cancelled"):
        await world.services.decisions.approve(carol, asked.request.request_id)


async def test_a_grant_that_ends_takes_the_requests_for_more_of_its_time_with_it(world: CoreWorld) -> None:
    host, carol, revoked = await _live(world, duration_s=3_600)
    ended, outlived = [await world.delivered(host, carol, duration_s=3_600) for _ in range(2)]
    asked = {
        grant_id: (await world.extend(host, grant_id, duration_s=60)).request.request_id
        for grant_id in (revoked, ended, outlived)
    }
    await world.services.grants.revoke(carol, revoked)
    await world.report(host, ended, proof("stopped"))
    for grant_id in (revoked, ended):
        view = await world.services.requests.get(carol, asked[grant_id])
        assert view.request.state is RequestState.CANCELLED
    # The vote that comes at the very end, before any timer.
    world.clock.advance(3_600)
    with pytest.raises(Conflict, match="lapsed"):
        await world.services.decisions.approve(carol, asked[outlived])
    assert await world.kinds("grant.extended") == []


async def test_a_vote_for_a_grant_that_is_over_is_refused_and_the_request_cancelled(world: CoreWorld) -> None:
    """A lease that ran out is over before anybody has said so."""
    host, carol, grant_id = await _live(world, replace(ROLE, lease_s=60), duration_s=3_600)
    asked = await world.extend(host, grant_id, duration_s=60)
    world.clock.advance(60)
    with pytest.raises(Conflict, match=f"the time of {grant_id} is up.*: the request is cancelled"):
        await world.services.decisions.approve(carol, asked.request.request_id)
    view = await world.services.requests.get(carol, asked.request.request_id)
    assert (view.request.state, view.decisions) == (RequestState.CANCELLED, ())
    assert await world.kinds("request.cancelled") == ["request.cancelled"]


@pytest.mark.parametrize(("max_s", "ends"), [(3_600, False), (3_599, True), (1_800, True)])
async def test_a_shorter_maximum_ends_what_was_given_for_longer_at_once(
    world: CoreWorld, max_s: int, ends: bool
) -> None:
    """S10: an hour by two steps is an hour."""
    host, _, grant_id = await _live(world)
    await world.extend(host, grant_id)
    assert await world.apply(replace(ROLE, max_s=max_s)) == (1 if ends else 0)
    assert (await world.state(grant_id) is GrantState.ENDING) is ends
