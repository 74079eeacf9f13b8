"""A second factor that was proved a moment ago, and roles that are theirs without one (S9)."""

from __future__ import annotations

from dataclasses import replace

import pyotp
import pytest

from jit_server.domain.identity import HostCaller
from jit_server.domain.lifecycle import GrantState, RequestState
from jit_server.domain.policy.model import Eligibility, Party
from jit_server.errors import Denied, FactorLocked, Unauthenticated
from jit_testing.core_world import CoreWorld
from jit_testing.server_fakes import A_LOGIN, SECOND, START, a_role, people_for_good

AGE_S = 900
ROLE = replace(a_role(mfa=True, approvals=0, approvers=[], eligible=["alice", "bob"]), mfa_age_s=AGE_S)


async def _world(world: CoreWorld) -> tuple[HostCaller, pyotp.TOTP]:
    _, totp = await world.with_factor("alice")
    host = await world.host()
    await world.apply(ROLE)
    return host, totp


async def _is_fresh(world: CoreWorld, host: HostCaller, name: str = "alice") -> bool:
    plan = await world.services.requests.plan(host, world.local(name), None, A_LOGIN)
    return plan.choices[0].mfa_fresh


async def test_one_code_will_do_for_a_while_and_no_longer(world: CoreWorld) -> None:
    host, totp = await _world(world)
    assert not await _is_fresh(world, host)
    with pytest.raises(Unauthenticated, match="a one-time code is needed"):
        await world.ask(host)
    first = await world.ask(host, otp=world.code(totp))
    proved = world.clock.now()
    world.clock.advance(AGE_S - 1)
    assert await _is_fresh(world, host)
    second = await world.ask(host)
    assert first.request.mfa_passed
    assert second.request.mfa_passed
    details = [recorded.event.details for recorded in await world.events("request.created")]
    assert [(one["mfa"], one["mfa_proved_at"]) for one in details] == [(True, 0), (True, proved)]
    world.clock.advance(1)
    # A request that went without a code proved nothing anew.
    assert not await _is_fresh(world, host)
    with pytest.raises(Unauthenticated, match="a one-time code is needed"):
        await world.ask(host)


async def test_a_proof_is_of_one_person_on_one_host(world: CoreWorld) -> None:
    host, totp = await _world(world)
    await world.with_factor("bob")
    other = await world.host("web2")
    await world.ask(host, otp=world.code(totp))
    for where, who in ((other, "alice"), (host, "bob")):
        assert not await _is_fresh(world, where, who)
        with pytest.raises(Unauthenticated, match="a one-time code is needed"):
            await world.ask(where, who)


async def test_a_role_that_does_not_say_so_wants_a_code_each_time(world: CoreWorld) -> None:
    host, totp = await _world(world)
    await world.apply(ROLE, replace(ROLE, name="strict", mfa_age_s=0))
    await world.ask(host, otp=world.code(totp))
    with pytest.raises(Unauthenticated, match="a one-time code is needed"):
        await world.ask(host, role="strict")


async def test_a_proof_dies_with_the_factor_and_does_not_help_while_it_is_locked(world: CoreWorld) -> None:
    host, totp = await _world(world)
    await world.ask(host, otp=world.code(totp))
    wrong = next(code for code in ("000000", "000001", "000002") if not totp.verify(code, valid_window=3))
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            await world.ask(host, otp=wrong)
    with pytest.raises(Unauthenticated):
        await world.ask(host)
    with pytest.raises(FactorLocked):
        await world.ask(host, otp=wrong)
    async with world.store.write() as tx:
        await tx.factors.set_factor((await tx.people.named(["alice"]))[0].user_id, None)
    assert not await _is_fresh(world, host)


async def test_a_wrong_code_is_wrong_even_where_none_was_needed(world: CoreWorld) -> None:
    host, totp = await _world(world)
    await world.ask(host, otp=world.code(totp))
    with pytest.raises(Unauthenticated, match="used before"):
        await world.ask(host, otp=world.code(totp))


async def test_an_active_role_takes_neither_code_nor_reason_nor_approval_and_is_marked(world: CoreWorld) -> None:
    await world.person("alice")
    await world.person("bob")
    await world.person("carol")
    host = await world.host()
    until = START + 3_600 * SECOND
    active = Eligibility(Party(frozenset({"alice"})), until=until, active=True, reason="on duty")
    role = replace(a_role(mfa=True, reason=True, eligible=["bob"]), ticket=True)
    await world.apply(replace(role, eligible=(active, *people_for_good("bob"))))
    plan = await world.services.requests.plan(host, world.local("alice"), None, A_LOGIN)
    assert [(choice.active, choice.until, choice.approvers) for choice in plan.choices] == [(True, until, ())]
    view = await world.ask(host, reason="", ticket="T-1", duration_s=7_200)
    assert view.grant is not None
    assert (view.grant.grant.state, view.grant.grant.not_after) == (GrantState.ISSUED, until)
    assert (view.request.mfa_passed, view.request.approvals_needed) == (False, 0)
    (created,) = await world.events("request.created")
    assert (created.event.details["active"], created.event.details["mfa"]) == (True, False)
    with pytest.raises(Unauthenticated):
        await world.ask(host, "bob", ticket="T-1")


async def test_a_scheduled_grant_of_an_active_role_lives_and_starts_only_while_it_is_active(world: CoreWorld) -> None:
    await world.person("alice")
    await world.person("carol")
    host = await world.host()
    active = Eligibility(Party(frozenset({"alice"})), active=True)
    role = a_role(mfa=True)
    await world.apply(replace(role, eligible=(active,)))
    soon = world.clock.now() + 60 * SECOND
    kept, lost = [await world.ask(host, starts_at=soon + at * SECOND, duration_s=60) for at in (0, 60)]
    assert kept.grant is not None
    assert lost.grant is not None
    world.clock.advance(60)
    await world.services.starting.start_due()
    assert await world.state(kept.grant.grant.grant_id) is GrantState.ISSUED
    await world.apply(role)
    for one in (kept, lost):
        ended = await world.grant(one.grant.grant.grant_id if one.grant else "")
        assert ended.end_reason == "revoked"


async def test_whoever_is_eligible_too_is_not_active_by_that(world: CoreWorld) -> None:
    await world.person("alice")
    await world.person("carol")
    host = await world.host()
    over = Eligibility(Party(frozenset({"alice"})), until=START, active=True)
    await world.apply(replace(a_role(), eligible=(over, *people_for_good("alice"))))
    assert (await world.ask(host)).request.state is RequestState.PENDING
    await world.apply(replace(a_role(), eligible=(over,)))
    with pytest.raises(Denied, match="was eligible"):
        await world.ask(host)
