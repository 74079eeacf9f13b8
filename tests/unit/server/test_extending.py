"""More time for a live grant: at once within the role's maximum, for its own person, and told to the host (S7, S10)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from jit_server.domain.extension import AtOnce, LikeNew, weigh
from jit_server.domain.grant import CONFIRMATION_GRACE_US
from jit_server.domain.identity import HostCaller, Person
from jit_server.domain.lifecycle import GrantState, RequestState
from jit_server.domain.lock import Lock, LockKind
from jit_server.domain.policy.decision import Refused
from jit_server.domain.policy.model import NO_POLICY, Extend, Party, Role
from jit_server.domain.report import Applied, GrantRefused
from jit_server.errors import Conflict, Denied, Invalid, NotFound, Unauthenticated
from jit_server.services.extending import NewExtension
from jit_testing.core_world import CoreWorld, proof
from jit_testing.server_fakes import SECOND, START, a_grant, a_host, a_policy, a_request, a_role, a_user

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


async def test_within_the_maximum_the_end_moves_at_once_and_the_grant_stays_in_force(world: CoreWorld) -> None:
    host, _, grant_id = await _live(world, duration_s=600)
    before = await world.grant(grant_id)
    generation = await world.services.delivery.generation(host)
    world.clock.advance(500)
    with world.changes.subscribe([host.host_id, grant_id]) as changed:
        view = await world.extend(host, grant_id[:9], duration_s=300)
        assert await changed.wait() == {host.host_id, grant_id}
    after = await world.grant(grant_id)
    assert (after.state, after.not_after) == (GrantState.ACTIVE, before.not_after + 300 * SECOND)
    assert after.extensions == 1
    assert await world.services.delivery.generation(host) == generation + 1

    assert (view.request.state, view.request.extends, view.request.duration_s) == (
        RequestState.APPROVED,
        grant_id,
        300,
    )
    assert view.grant is not None
    assert view.grant.grant == after
    assert await world.kinds("request") == ["request.created", "request.approved", "request.created"]
    assert [event.event.grant_id for event in await world.events("request")] == ["", "", grant_id]
    (extended,) = await world.events("grant.extended")
    assert (extended.event.actor, extended.event.user, extended.event.grant_id) == ("alice", "alice", grant_id)
    assert extended.event.details == {
        "request": view.request.request_id,
        "duration_s": 300,
        "old_end": before.not_after,
        "new_end": after.not_after,
    }


async def test_the_host_is_sent_the_new_end_in_a_higher_revision_and_says_active_only_once(world: CoreWorld) -> None:
    """SPEC 2.6."""
    host, _, grant_id = await _live(world, duration_s=600)
    first = await world.signed(host, grant_id)
    world.clock.advance(100)
    assert await world.signed(host, grant_id) == first
    await world.extend(host, grant_id, duration_s=60)
    second = await world.signed(host, grant_id)
    assert second["revision"] > first["revision"]
    assert (second["until"], second["not_after"]) == (first["until"] + 60 * SECOND,) * 2
    assert (second["not_before"], second["remaining_s"]) == (first["not_before"], 560)
    await world.take(host, grant_id)
    assert await world.signed(host, grant_id) == second
    assert await world.state(grant_id) is GrantState.ACTIVE
    assert await world.kinds("grant.active") == ["grant.active"]
    world.clock.advance(559.9)
    assert await world.wanted(host) == [grant_id]
    world.clock.advance(0.1)
    assert await world.wanted(host) == []


async def test_an_extension_the_host_never_heard_of_does_not_bring_back_what_it_had_to_end(world: CoreWorld) -> None:
    host, _, grant_id = await _live(world, duration_s=600)
    world.clock.advance(599)
    await world.extend(host, grant_id, duration_s=600)
    world.clock.advance(1)
    assert await world.wanted(host) == []
    with pytest.raises(Conflict, match=r"time .* is up"):
        await world.extend(host, grant_id, duration_s=600)
    world.clock.advance(CONFIRMATION_GRACE_US / SECOND)
    await world.services.grants.expire()
    assert (await world.grant(grant_id)).end_reason == "expired"
    assert await world.state(grant_id) is GrantState.UNCONFIRMED


async def test_the_roles_default_is_added_when_no_time_is_named_and_the_maximum_counts_from_the_start(
    world: CoreWorld,
) -> None:
    host, _, grant_id = await _live(world)
    start = (await world.grant(grant_id)).not_before
    world.clock.advance(1_700)
    await world.extend(host, grant_id)
    assert (await world.grant(grant_id)).not_after == start + 3_600 * SECOND
    view = await world.extend(host, grant_id, duration_s=1)
    assert view.request.state is RequestState.PENDING
    assert (await world.grant(grant_id)).not_after == start + 3_600 * SECOND


@pytest.mark.parametrize("changed", ["second factor", "more approvals", "approver gone"])
async def test_the_person_alone_extends_only_while_all_the_grant_stands_on_still_stands(
    world: CoreWorld, changed: str
) -> None:
    """S10: as at a start that was agreed on before."""
    host, _, grant_id = await _live(world, duration_s=600)
    await world.person("erin")
    await world.apply(replace(ROLE, approvers=Party(frozenset({"carol", "erin"}))))
    assert (await world.extend(host, grant_id, duration_s=60)).request.state is RequestState.APPROVED
    match changed:
        case "second factor":
            await world.apply(replace(ROLE, mfa=True))
            with pytest.raises(Unauthenticated):
                await world.extend(host, grant_id, duration_s=60)
        case "more approvals":
            await world.apply(replace(ROLE, approvals=2, approvers=Party(frozenset({"carol", "erin"}))))
            assert (await world.extend(host, grant_id, duration_s=60)).request.state is RequestState.PENDING
        case _:
            await world.apply(replace(ROLE, approvers=Party(frozenset({"erin"}))))
            assert (await world.extend(host, grant_id, duration_s=60)).request.state is RequestState.PENDING


@pytest.mark.parametrize(
    ("extend", "state"),
    [(Extend.SELF, RequestState.APPROVED), (Extend.APPROVAL, RequestState.PENDING), (Extend.NEVER, None)],
)
async def test_the_role_says_how_its_grants_are_extended(
    world: CoreWorld, extend: Extend, state: RequestState | None
) -> None:
    host, _, grant_id = await _live(world, replace(ROLE, extend=extend), duration_s=60)
    if state is None:
        with pytest.raises(Denied, match="grants of role web are not extended"):
            await world.extend(host, grant_id, duration_s=60)
        (refused,) = await world.events("request.refused")
        assert (refused.event.grant_id, refused.event.user) == (grant_id, "alice")
    else:
        assert (await world.extend(host, grant_id, duration_s=60)).request.state is state


async def test_a_host_whose_clock_is_off_gets_no_extension(world: CoreWorld) -> None:
    host, carol, grant_id = await _live(world, duration_s=3_600)
    asked = await world.extend(host, grant_id, duration_s=60)
    off = "web1 cannot take grants: its clock says 2026-09-21 14:06:40 UTC, the server's 2026-09-21 14:13:20 UTC"
    await world.hello(host, ahead_s=-400)
    with pytest.raises(Denied, match=off):
        await world.extend(host, grant_id, duration_s=60)
    with pytest.raises(Denied, match=off):
        await world.services.decisions.approve(carol, asked.request.request_id)
    await world.hello(host)
    assert (await world.services.decisions.approve(carol, asked.request.request_id)).grant is not None


def test_a_lock_or_a_lost_eligibility_is_against_any_more_time() -> None:
    """S10."""
    alice, host = a_user("alice"), a_host()
    policy = a_policy(ROLE)
    grant = replace(a_grant(a_request(alice, host)), state=GrantState.ACTIVE, approved_by=("usr-2",))
    assert isinstance(weigh(policy, grant, alice, host, duration_s=60, at=START), AtOnce)
    assert isinstance(weigh(policy, grant, alice, host, duration_s=3_001, at=START), LikeNew)
    lock = Lock("lck-0000000000000001", LockKind.USER, "alice", "stolen laptop", "carol", "usr-1", START)
    refused = weigh(replace(policy, locks=(lock,)), grant, alice, host, duration_s=60, at=START)
    assert isinstance(refused, Refused)
    assert refused.why == "alice is locked: stolen laptop (by carol)"
    nobody = a_policy(replace(ROLE, eligible=()))
    assert isinstance(weigh(nobody, grant, alice, host, duration_s=60, at=START), Refused)
    assert isinstance(weigh(NO_POLICY, grant, alice, host, duration_s=60, at=START), Refused)


async def test_only_the_person_on_that_host_with_that_account_extends(world: CoreWorld) -> None:
    host, carol, grant_id = await _live(world, a_role(eligible=["alice", "bob"]), duration_s=60)
    await world.person("bob")
    other = await world.host("web2")
    for caller, account in ((host, "bob"), (other, "alice")):
        with pytest.raises(NotFound):
            await world.extend(caller, grant_id, account)
    made_anew = replace(world.local("alice"), uid=9_001)
    with pytest.raises(NotFound, match="not for this account"):
        await world.services.extensions.extend(host, made_anew, NewExtension(grant_id))
    with pytest.raises(Invalid, match="negative"):
        await world.extend(host, grant_id, duration_s=-1)
    with pytest.raises(Invalid, match="not an id"):
        await world.extend(host, "")
    assert (await world.extend(host, grant_id, duration_s=60)).grant is not None
    await world.services.grants.revoke(carol, grant_id)
    with pytest.raises(Conflict, match="is ending"):
        await world.extend(host, grant_id, duration_s=60)


async def test_a_grant_for_one_sudo_may_have_more_time_for_it(world: CoreWorld) -> None:
    host, _, grant_id = await _live(world, once=True, session=7, duration_s=60)
    view = await world.extend(host, grant_id, duration_s=60)
    assert (view.request.once, view.request.session) == (True, 7)
    payload = await world.signed(host, grant_id)
    assert (payload["once"], payload["session"]) == (True, 7)


async def test_an_extension_the_host_refuses_is_written_down_and_the_grant_goes_on_to_its_old_end(
    world: CoreWorld,
) -> None:
    host, _, grant_id = await _live(world, duration_s=600)
    await world.extend(host, grant_id, duration_s=600)
    revision = (await world.signed(host, grant_id))["revision"]
    await world.report(host, grant_id, GrantRefused(revision, "beyond_ceiling", "1200 s is over 900 s"))
    assert await world.state(grant_id) is GrantState.ACTIVE
    (event,) = await world.events("grant.refused")
    assert (event.event.details["code"], event.event.details["goes_on"]) == ("beyond_ceiling", True)
    signed = await world.signed(host, grant_id)
    assert signed["until"] == signed["not_after"] == event.event.details["not_after"], "nothing longer is promised"
    assert signed["until"] - signed["not_before"] == 600_000_000
    assert signed["revision"] > revision
    world.clock.advance(600)
    await world.report(host, grant_id, proof("expired", revision=signed["revision"]))
    assert await world.state(grant_id) is GrantState.ENDED


async def test_an_extension_the_host_agreed_to_is_not_taken_back_with_the_next(world: CoreWorld) -> None:
    host, _, grant_id = await _live(world, duration_s=600)
    await world.extend(host, grant_id, duration_s=60)
    agreed = await world.signed(host, grant_id)
    await world.report(host, grant_id, Applied(agreed["revision"], "jit-x.scope"))
    await world.extend(host, grant_id, duration_s=600)
    asked = await world.signed(host, grant_id)
    await world.report(host, grant_id, GrantRefused(asked["revision"], "beyond_ceiling", "1260 s is over 900 s"))
    assert (await world.signed(host, grant_id))["until"] == agreed["until"]


async def test_a_refused_extension_does_not_make_a_revoked_grant_look_over(world: CoreWorld) -> None:
    """S7: the revision before it is still in force."""
    host, carol, grant_id = await _live(world, duration_s=600)
    await world.extend(host, grant_id, duration_s=600)
    revision = (await world.signed(host, grant_id))["revision"]
    await world.services.grants.revoke(carol, grant_id)
    await world.report(host, grant_id, GrantRefused(revision, "unsafe", "no room on the disk"))
    assert await world.state(grant_id) is GrantState.ENDING


async def test_the_persons_list_shows_a_grant_once_and_history_shows_every_extension(world: CoreWorld) -> None:
    host, _, grant_id = await _live(world, duration_s=60)
    await world.extend(host, grant_id, duration_s=60)
    pending = await world.extend(host, grant_id, duration_s=3_600)
    mine = await world.services.requests.list_mine(host, world.local("alice"), over_too=False)
    assert [view.request.request_id for view in mine if view.request.extends] == [pending.request.request_id]
    assert [view.grant.grant.grant_id for view in mine if view.grant] == [grant_id]
    everything = await world.services.requests.list_mine(host, world.local("alice"), over_too=True)
    assert [view.request.extends for view in everything].count(grant_id) == 2
    assert [view.grant.grant.grant_id for view in everything if view.grant] == [grant_id] * 2
