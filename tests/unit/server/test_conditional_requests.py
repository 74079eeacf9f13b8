"""Conditions where they count: at the request, at the approval, at a scheduled start, and in the end of a grant."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from ipaddress import ip_network
from zoneinfo import ZoneInfo

import pytest

from jit_server.adapters import cel
from jit_server.domain.ask import ALL, Ask, Command
from jit_server.domain.lifecycle import GrantState, RequestState
from jit_server.domain.policy.arrival import Source
from jit_server.domain.policy.circumstances import Login, LoginKind, address
from jit_server.domain.policy.conditions import Live, OnCall
from jit_server.domain.policy.expression import Expression
from jit_server.domain.policy.hours import Hours, Window
from jit_server.domain.policy.model import Concurrency, Eligibility, Party, Role
from jit_server.errors import Denied, Invalid
from jit_server.services.views import RequestView
from jit_testing.core_world import CoreWorld
from jit_testing.server_fakes import SECOND, START, a_role, people_for_good

# START is a Monday, 14:13:20 UTC.
SHIFT = Hours((Window(frozenset(range(5)), 8 * 60, 15 * 60, ZoneInfo("UTC")),))
SHIFT_END = START + 2_800 * SECOND
OFFICE = Source((ip_network("10.0.0.0/8"),))
FROM_OFFICE = Login(LoginKind.SSH, address("10.1.2.3"), terminal=True)
FROM_ELSEWHERE = Login(LoginKind.SSH, address("192.0.2.7"), terminal=True)
ALONE = a_role(approvals=0, approvers=[])


async def test_a_login_from_elsewhere_is_refused_and_leaves_a_trace(world: CoreWorld) -> None:
    await world.person("alice")
    host = await world.host()
    await world.apply(replace(ALONE, when=(OFFICE,)))
    for login, why in ((FROM_ELSEWHERE, "192.0.2.7, which is not in 10.0.0.0/8"), (Login(), "cannot tell by which")):
        with pytest.raises(Denied, match=why) as refusal:
            await world.ask(host, login=login)
        assert refusal.value.hint == "log in from 10.0.0.0/8"
        plan = await world.services.requests.plan(host, world.local("alice"), None, login)
        assert [refused.role for refused in plan.refusals] == ["web"]
    assert await world.kinds("request") == ["request.refused"] * 2
    assert (await world.ask(host, login=FROM_OFFICE)).grant is not None
    (created,) = await world.events("request.created")
    assert created.event.details["login"] == "ssh from 10.1.2.3"


async def test_a_grant_is_cut_to_the_end_of_the_window_and_the_choice_says_so(world: CoreWorld) -> None:
    await world.person("alice")
    host = await world.host()
    await world.apply(replace(ALONE, when=(SHIFT,)))
    plan = await world.services.requests.plan(host, world.local("alice"), None, FROM_OFFICE)
    assert plan.choices[0].until == SHIFT_END
    longer = await world.ask(host, duration_s=7_200)
    assert longer.grant is not None
    assert (longer.grant.grant.not_after, longer.grant.grant.term_s) == (SHIFT_END, 2_800)
    shorter = await world.ask(host, duration_s=60)
    assert shorter.grant is not None
    assert shorter.grant.grant.not_after == START + 60 * SECOND
    world.clock.advance(2_800)
    with pytest.raises(Denied, match="outside of Mon-Fri 08:00-15:00 UTC") as refusal:
        await world.ask(host)
    assert refusal.value.hint == "again from Tue 08:00 UTC"


async def test_a_grant_ends_with_the_eligibility(world: CoreWorld) -> None:
    await world.person("alice")
    host = await world.host()
    until = START + 90 * SECOND
    await world.apply(replace(ALONE, eligible=(Eligibility(Party(frozenset({"alice"})), until=until),)))
    view = await world.ask(host, duration_s=600)
    assert view.grant is not None
    assert view.grant.grant.not_after == until


async def test_an_extension_does_not_reach_past_the_window(world: CoreWorld) -> None:
    await world.person("alice")
    host = await world.host()
    await world.apply(replace(ALONE, when=(SHIFT,)))
    view = await world.ask(host, duration_s=600)
    assert view.grant is not None
    grant_id = view.grant.grant.grant_id
    await world.take(host, grant_id)
    await world.extend(host, grant_id, duration_s=7_000 - 600)
    assert (await world.grant(grant_id)).not_after == SHIFT_END
    with pytest.raises(Denied, match="the right to role web ends at 2026-09-21 15:00 UTC"):
        await world.extend(host, grant_id, duration_s=60)
    assert (await world.grant(grant_id)).not_after == SHIFT_END


async def test_conditions_are_asked_again_at_the_approval_of_the_login_that_asked(world: CoreWorld) -> None:
    await world.person("alice")
    carol = await world.person("carol")
    host = await world.host()
    await world.apply(replace(a_role(), when=(SHIFT, OFFICE)))
    asked = await world.ask(host, login=FROM_OFFICE, duration_s=7_200)
    late = await world.ask(host, login=FROM_OFFICE)
    view = await world.services.decisions.approve(carol, asked.request.request_id)
    assert view.request.login == FROM_OFFICE
    assert view.grant is not None
    assert view.grant.grant.not_after == SHIFT_END
    world.clock.advance(2_800)
    with pytest.raises(Denied, match="outside of"):
        await world.services.decisions.approve(carol, late.request.request_id)
    pending = await world.services.requests.get(carol, late.request.request_id)
    assert (pending.request.state, pending.decisions) == (RequestState.PENDING, ())


async def test_out_of_hours_a_change_of_the_policy_leaves_pending_requests_alone(world: CoreWorld) -> None:
    await world.person("alice")
    carol = await world.person("carol")
    host = await world.host()
    role = replace(a_role(), when=(SHIFT,))
    await world.apply(role)
    asked = await world.ask(host)
    world.clock.advance(2_800)
    await world.apply(role, a_role("other"))
    assert (await world.services.requests.get(carol, asked.request.request_id)).request.state is RequestState.PENDING
    # What an approver relied on is another matter.
    await world.apply(replace(role, when=(OFFICE,)), a_role("other"))
    assert (await world.services.requests.get(carol, asked.request.request_id)).request.state is RequestState.CANCELLED


NEXT_DAY = START + 86_400 * SECOND


async def _scheduled(world: CoreWorld, role: Role) -> RequestView:
    """alice's grant of 600 s, a day ahead."""
    await world.person("alice")
    host = await world.host()
    await world.apply(role)
    return await world.ask(host, login=FROM_OFFICE, starts_at=NEXT_DAY, duration_s=600)


async def test_a_scheduled_grant_is_held_against_the_hour_of_its_start_and_cut_to_its_window(world: CoreWorld) -> None:
    role = replace(ALONE, when=(SHIFT,))
    view = await _scheduled(world, role)
    assert view.grant is not None
    assert view.grant.grant.not_after == NEXT_DAY + 600 * SECOND
    host = await world.host("web2")
    longer = await world.ask(host, starts_at=NEXT_DAY, duration_s=7_200)
    assert longer.grant is not None
    assert longer.grant.grant.not_after == SHIFT_END + 86_400 * SECOND
    with pytest.raises(Denied, match="outside of"):
        await world.ask(host, starts_at=NEXT_DAY + 3_600 * SECOND)


async def test_at_a_scheduled_start_the_conditions_are_asked_once_more(world: CoreWorld) -> None:
    world.on_call.rotas["dba"] = {"alice"}
    view = await _scheduled(world, replace(ALONE, when=(OnCall(("dba",)), Live(1))))
    assert view.grant is not None
    world.on_call.rotas["dba"] = {"bob"}
    world.clock.advance(86_400)
    await world.services.starting.start_due()
    grant = await world.grant(view.grant.grant.grant_id)
    assert (grant.state, grant.end_reason) == (GrantState.REFUSED, "alice is not on call in dba")


async def test_a_scheduled_start_does_not_count_itself(world: CoreWorld) -> None:
    world.on_call.rotas["dba"] = {"alice"}
    view = await _scheduled(world, replace(ALONE, when=(OnCall(("dba",)), Live(1)), concurrent=Concurrency(person=1)))
    assert view.grant is not None
    world.clock.advance(86_400)
    await world.services.starting.start_due()
    assert await world.state(view.grant.grant.grant_id) is GrantState.ISSUED


async def test_an_eligibility_that_ends_before_the_start_schedules_nothing(world: CoreWorld) -> None:
    ending = Eligibility(Party(frozenset({"alice"})), until=START + 3_600 * SECOND)
    with pytest.raises(Denied, match="was eligible for role web until"):
        await _scheduled(world, replace(ALONE, eligible=(ending,)))


async def test_of_many_requests_at_once_only_so_many_are_granted_as_may_live(world: CoreWorld) -> None:
    """The count and the grant are one transaction."""
    await world.person("alice")
    await world.person("bob")
    host = await world.host()
    eligible = people_for_good("alice", "bob")
    await world.apply(replace(ALONE, eligible=eligible, concurrent=Concurrency(person=2, everybody=3)))
    names = ["alice", "bob"] * 5
    made = await asyncio.gather(*(world.ask(host, name) for name in names), return_exceptions=True)
    granted = [one.user for one in made if isinstance(one, RequestView)]
    assert len(granted) == 3
    assert max(granted.count("alice"), granted.count("bob")) == 2
    assert all(isinstance(one, (RequestView, Denied)) for one in made)
    with pytest.raises(Denied, match="role web gives") as refusal:
        await world.ask(host)
    assert refusal.value.hint == "wait until one ends, or end one: jit drop"


async def test_an_expression_sees_what_was_given_with_the_request(world: CoreWorld) -> None:
    await world.person("alice")
    host = await world.host()
    text = "ticket.startsWith('INC-') && duration <= duration('10m') && live == 0"
    await world.apply(replace(ALONE, when=(Expression(text, cel.compiled(text)),)))
    plan = await world.services.requests.plan(host, world.local("alice"), None, FROM_OFFICE)
    assert [choice.role.name for choice in plan.choices] == ["web"]
    for what in ({"ticket": "INC-1"}, {"ticket": "CHG-1", "duration_s": 600}):
        with pytest.raises(Denied, match="is not true"):
            await world.ask(host, **what)
    assert (await world.ask(host, ticket="INC-1", duration_s=600)).grant is not None
    with pytest.raises(Denied):
        await world.ask(host, ticket="INC-1", duration_s=600)


async def test_an_expression_that_looks_at_the_command_lets_only_an_exact_grant_through(world: CoreWorld) -> None:
    """Else whoever asked for the one command could run any other of the role with the grant they got for it."""
    await world.person("alice")
    host = await world.host()
    text = "command == '/usr/bin/id' && args.size() == 0"
    await world.apply(replace(ALONE, commands=ALL, when=(Expression(text, cel.compiled(text)),)))
    plan = await world.services.requests.plan(host, world.local("alice"), None, FROM_OFFICE)
    assert [choice.role.name for choice in plan.choices] == ["web"]
    for argv in (("/usr/bin/id",), ()):
        with pytest.raises(Denied, match="only a grant for that one command") as refusal:
            await world.ask(host, ask=Ask(argv))
        assert refusal.value.hint == "ask for the one command: jit sudo --exact COMMAND"
    with pytest.raises(Denied, match="is not true"):
        await world.ask(host, ask=Ask(("/usr/bin/bash",), exact=True))
    granted = (await world.ask(host, ask=Ask(("/usr/bin/id",), exact=True))).grant
    assert granted is not None
    assert granted.grant.commands == (Command("/usr/bin/id", ()),)


async def test_a_ticket_has_to_look_as_the_role_wants_it(world: CoreWorld) -> None:
    await world.person("alice")
    host = await world.host()
    await world.apply(replace(ALONE, ticket=True, ticket_pattern="^INC-[0-9]{4,8}$"))
    for ticket in ("INC-1", "XINC-1234", "INC-1234 and more"):
        with pytest.raises(Invalid, match="is not a ticket as role web wants it") as refusal:
            await world.ask(host, ticket=ticket)
        assert refusal.value.hint == "it has to match ^INC-[0-9]{4,8}$"
    assert (await world.ask(host, ticket="INC-1234")).request.ticket == "INC-1234"


async def test_a_role_for_one_sudo_makes_every_grant_for_one(world: CoreWorld) -> None:
    await world.person("alice")
    host = await world.host()
    await world.apply(replace(ALONE, once=True))
    view = await world.ask(host, once=False)
    assert view.grant is not None
    assert view.grant.grant.once
