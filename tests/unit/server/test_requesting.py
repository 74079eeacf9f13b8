"""Asking for a role: what is answered, what is recorded, what is refused (DESIGN 3, steps 2 and 3)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from jit_server.domain.ask import ALL, Ask, Command
from jit_server.domain.identity import Duty, LocalUser
from jit_server.domain.lifecycle import GrantState, RequestState
from jit_server.errors import Conflict, Denied, Invalid, LimitExceeded, NotFound, Unauthenticated
from jit_server.ports import REQUESTS
from jit_testing.core_world import CoreWorld
from jit_testing.server_fakes import A_LOGIN, a_role, labelled

RESTART = Command("/usr/bin/systemctl", ("restart", "nginx"))


async def test_a_plan_names_the_roles_that_fit_and_who_could_approve(world: CoreWorld) -> None:
    await world.person("alice")
    await world.person("carol")
    host = await world.host()
    await world.apply(
        a_role("web", commands=(RESTART,)),
        a_role("root", commands=ALL),
        a_role("db", hosts=labelled(tier="db")),
        a_role("others", eligible=["bob"]),
    )
    plan = await world.services.requests.plan(host, world.local("alice"), Ask(("/usr/bin/id",)), A_LOGIN)
    assert [(choice.role.name, choice.approvers, choice.commands) for choice in plan.choices] == [
        ("root", ("carol",), ("ALL",))
    ]
    assert [(refused.role, refused.why) for refused in plan.refusals] == [
        ("web", "role web does not allow /usr/bin/id")
    ]
    assert not plan.mfa_enrolled
    everything = await world.services.requests.plan(host, world.local("alice"), None, A_LOGIN)
    assert [choice.role.name for choice in everything.choices] == ["root", "web"]


async def test_a_plan_says_why_nothing_fits(world: CoreWorld) -> None:
    await world.person("alice")
    host = await world.host()
    nothing = await world.services.requests.plan(host, world.local("alice"), None, A_LOGIN)
    assert [refused.why for refused in nothing.refusals] == ["no role lets alice do anything on web1"]
    await world.apply(a_role("others", eligible=["bob"]))
    named = await world.services.requests.plan(host, world.local("alice"), None, A_LOGIN, "others")
    assert [refused.why for refused in named.refusals] == ["alice is not eligible for role others"]
    unknown = await world.services.requests.plan(host, world.local("alice"), None, A_LOGIN, "x\x1b[31m")
    assert [refused.why for refused in unknown.refusals] == ["there is no role 'x\\x1b[31m'"]


async def test_an_account_the_server_does_not_know_is_told_so(world: CoreWorld) -> None:
    host = await world.host()
    with pytest.raises(Denied, match="does not know the account 'mallory'"):
        await world.services.requests.plan(host, LocalUser(1001, "mallory"), None, A_LOGIN)
    with pytest.raises(Invalid, match="uid 0"):
        await world.services.requests.plan(host, LocalUser(0, "root"), None, A_LOGIN)


async def test_a_request_is_recorded_with_its_event_and_waits(world: CoreWorld) -> None:
    await world.person("alice")
    await world.person("carol")
    host = await world.host()
    await world.apply(a_role())
    with world.changes.subscribe([REQUESTS]) as changed:
        view = await world.ask(host, reason="disk full", ticket="T-1", duration_s=60)
        assert await changed.wait() == {REQUESTS}
    assert view.request.state is RequestState.PENDING
    assert (view.user, view.host, view.approvers, view.grant) == ("alice", "web1", ("carol",), None)
    (event,) = await world.events("request")
    assert (event.event.kind, event.event.request_id) == ("request.created", view.request.request_id)
    assert event.event.details["reason"] == "disk full"
    assert event.event.details["command"] == "/usr/bin/id"
    assert await world.wanted(host) == []


async def test_a_role_that_needs_no_approval_grants_at_once(world: CoreWorld) -> None:
    await world.person("alice")
    host = await world.host()
    await world.apply(a_role(approvals=0, approvers=[]))
    view = await world.ask(host, duration_s=60)
    assert view.request.state is RequestState.APPROVED
    assert view.grant is not None
    assert view.grant.grant.state is GrantState.ISSUED
    assert view.grant.grant.not_after == world.clock.now() + 60_000_000
    assert await world.wanted(host) == [view.grant.grant.grant_id]
    assert await world.kinds("grant") == ["grant.issued"]


async def test_what_the_policy_refuses_leaves_a_trace_and_no_request(world: CoreWorld) -> None:
    await world.person("alice")
    host = await world.host()
    await world.apply(a_role(commands=(RESTART,)))
    with pytest.raises(Denied, match="does not allow /usr/bin/id") as refusal:
        await world.ask(host)
    assert "systemctl restart nginx" in refusal.value.hint
    assert await world.kinds("request") == ["request.refused"]
    assert await world.services.requests.list_mine(host, world.local("alice"), over_too=True) == ()


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ({"reason": " "}, "needs a reason"),
        ({"ticket": ""}, "needs a ticket"),
        ({"duration_s": 7_201}, "not a duration"),
        ({"duration_s": -1}, "not a duration"),
        ({"reason": "x" * 1_001}, "the limit is 1000"),
        ({"ticket": "x" * 201}, "the limit is 200"),
        ({"role": ""}, "no role was named"),
        ({"ask": Ask(("id",))}, "not an absolute path"),
    ],
)
async def test_a_request_that_lacks_what_the_role_wants_is_invalid(
    world: CoreWorld, what: dict[str, Any], message: str
) -> None:
    await world.person("alice")
    await world.person("carol")
    host = await world.host()
    await world.apply(a_role(reason=True, ticket=True))
    good: dict[str, Any] = {"reason": "because", "ticket": "T-1", "duration_s": 7_200}
    with pytest.raises(Invalid, match=message):
        await world.ask(host, **{**good, **what})
    assert await world.kinds("request") == []
    assert (await world.ask(host, **good)).request.state is RequestState.PENDING


async def test_the_twenty_first_pending_request_is_over_the_limit(world: CoreWorld) -> None:
    await world.person("alice")
    await world.person("bob")
    await world.person("carol")
    host = await world.host()
    await world.apply(a_role(eligible=["alice", "bob"]))
    views = [await world.ask(host) for _ in range(20)]
    with pytest.raises(LimitExceeded, match="20 pending requests"):
        await world.ask(host)
    await world.ask(host, "bob")
    await world.services.requests.cancel_local(host, world.local("alice"), views[0].request.request_id)
    await world.ask(host)


async def test_a_host_that_cannot_enforce_gets_no_requests(world: CoreWorld) -> None:
    await world.person("alice")
    await world.person("carol")
    host = await world.host()
    await world.apply(a_role())
    await world.hello(host, ahead_s=301)
    with pytest.raises(Denied, match=r"its clock says 2026-09-21 14:18:21 UTC, the server's 2026-09-21 14:13:20 UTC"):
        await world.ask(host)
    await world.hello(host, ahead_s=-299)
    await world.ask(host)


async def test_people_see_their_own_approvers_their_roles_and_auditors_everything(world: CoreWorld) -> None:
    alice, bob, carol = await world.person("alice"), await world.person("bob"), await world.person("carol")
    auditor = await world.person("otto", Duty.AUDITOR)
    host = await world.host()
    await world.apply(a_role(), a_role("db", eligible=["bob"], approvers=["dave", "alice"]))
    request_id = (await world.ask(host)).request.request_id

    for allowed in (alice, carol, auditor, world.root):
        assert (await world.services.requests.get(allowed, request_id[:9])).request.request_id == request_id
        assert len(await world.services.requests.list_visible(allowed)) == 1
    with pytest.raises(NotFound):
        await world.services.requests.get(bob, request_id)
    assert await world.services.requests.list_visible(bob) == ()


async def test_a_prefix_of_several_ids_is_ambiguous_and_of_none_not_found(world: CoreWorld) -> None:
    await world.person("alice")
    await world.person("carol")
    await world.apply(a_role())
    request = (await world.ask(await world.host())).request
    async with world.store.write() as tx:
        for ending in "ab":
            await tx.requests.add(replace(request, request_id=f"req-77770000000000z{ending}"))
    with pytest.raises(Invalid, match="several"):
        await world.services.requests.get(world.root, "7777")
    assert (await world.services.requests.get(world.root, "77770000000000za")).request.reason == request.reason
    with pytest.raises(NotFound):
        await world.services.requests.get(world.root, "0" * 16)


async def test_a_letter_or_two_approve_nothing_even_if_they_name_one_request(world: CoreWorld) -> None:
    """SPEC 1.1: what slips from a finger is not a decision."""
    await world.person("alice")
    carol = await world.person("carol")
    await world.apply(a_role())
    random = (await world.ask(await world.host())).request.request_id.removeprefix("req-")
    for short in (random[:1], f"req-{random[:3]}"):
        with pytest.raises(Invalid, match="is not an id"):
            await world.services.decisions.approve(carol, short)
    assert (await world.services.decisions.approve(carol, random[:4])).request.state is RequestState.APPROVED


async def test_a_host_sees_only_what_is_for_itself(world: CoreWorld) -> None:
    """S11: a host that was broken into learns and cancels nothing of other hosts."""
    await world.person("alice")
    await world.person("carol")
    web1, web2 = await world.host("web1"), await world.host("web2")
    await world.apply(a_role())
    request_id = (await world.ask(web1)).request.request_id
    user = world.local("alice")
    assert len(await world.services.requests.list_mine(web1, user, over_too=False)) == 1
    assert await world.services.requests.list_mine(web2, user, over_too=True) == ()
    with pytest.raises(NotFound):
        await world.services.requests.get_local(web2, user, request_id)
    with pytest.raises(NotFound):
        await world.services.requests.cancel_local(web2, user, request_id)
    assert (await world.services.requests.get_local(web1, user, request_id)).request.state is RequestState.PENDING


async def test_a_request_is_taken_back_by_its_requester_and_nobody_else(world: CoreWorld) -> None:
    alice, carol = await world.person("alice"), await world.person("carol")
    host = await world.host()
    await world.apply(a_role())
    request_id = (await world.ask(host)).request.request_id
    for other in (carol, world.root):
        with pytest.raises(NotFound):
            await world.services.requests.cancel(other, request_id)
    view = await world.services.requests.cancel(alice, request_id)
    assert view.request.state is RequestState.CANCELLED
    with pytest.raises(Conflict, match="already cancelled"):
        await world.services.requests.cancel(alice, request_id)
    assert await world.kinds("request") == ["request.created", "request.cancelled"]


async def test_undecided_requests_lapse_at_their_instant(world: CoreWorld) -> None:
    await world.person("alice")
    carol = await world.person("carol")
    host = await world.host()
    await world.apply(replace(a_role(), request_timeout_s=3_600))
    request_id = (await world.ask(host)).request.request_id
    world.clock.advance(3_599)
    assert await world.services.requests.lapse() == 0
    world.clock.advance(1)
    assert await world.services.requests.lapse() == 1
    assert await world.services.requests.lapse() == 0
    assert (await world.services.requests.get(carol, request_id)).request.state is RequestState.LAPSED
    assert await world.kinds("request") == ["request.created", "request.lapsed"]


async def test_a_removed_host_and_a_disabled_person_cannot_ask(world: CoreWorld) -> None:
    await world.person("alice")
    await world.person("carol")
    host = await world.host()
    await world.apply(a_role())
    await world.services.people.disable(world.root, "alice")
    with pytest.raises(Denied, match="alice is disabled"):
        await world.ask(host)
    await world.services.people.enable(world.root, "alice")
    await world.ask(host)
    await world.services.hosts.remove(world.root, "web1")
    with pytest.raises(Unauthenticated):
        await world.ask(host)
