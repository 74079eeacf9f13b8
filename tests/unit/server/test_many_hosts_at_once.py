"""One request for several hosts: one code, one decision, a grant on each (SPEC 9.7)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jit_server.domain.identity import HostCaller, LocalUser, Person
from jit_server.domain.lifecycle import GrantState, RequestState
from jit_server.domain.policy.model import Concurrency, LabelTest, Role, Selector
from jit_server.errors import Conflict, Denied, Invalid, NotFound, Unauthenticated, Unavailable
from jit_server.services.filing import NewRequest
from jit_server.services.views import RequestView
from jit_testing.core_world import CoreWorld
from jit_testing.server_fakes import a_role, an_ask

UID_THERE = 4_711


def wide(name: str = "web", *, max_hosts: int = 5, approvals: int = 1, **changes: object) -> Role:
    return replace(a_role(name, approvals=approvals), max_hosts=max_hosts, **changes)  # type: ignore[arg-type]


class Fleet:
    """alice asks on web1; carol and dave approve; web1 to web3 answer for her account, and db1 is not reached."""

    def __init__(self, world: CoreWorld) -> None:
        self.world = world
        self.hosts: dict[str, HostCaller] = {}

    async def build(self, *roles: Role, alice: Person | None = None, **labels: str) -> None:
        self.alice, self.carol = alice or await self.world.person("alice"), await self.world.person("carol")
        for name in ("web1", "web2", "web3"):
            await self.add(name, tier="web", **labels)
        await self.add("db1", tier="db")
        await self.world.apply(*(roles or (wide(),)))

    async def add(self, name: str, **labels: str) -> None:
        self.hosts[name] = host = await self.world.host(name, **labels)
        self.world.accounts.answers[host.host_id] = LocalUser(UID_THERE, "alice")

    async def ask(self, *hosts: str, on: str = "web1", role: str = "web", **what: object) -> RequestView:
        new = replace(NewRequest(role, an_ask(), reason="because", hosts=hosts), **what)  # type: ignore[arg-type]
        return await self.world.services.batches.create(self.hosts[on], self.world.local("alice"), new)

    async def seen(self, request_id: str) -> RequestView:
        return await self.world.services.requests.get(self.world.root, request_id)


@pytest.fixture
async def fleet(world: CoreWorld) -> Fleet:
    return Fleet(world)


def states(view: RequestView) -> dict[str, tuple[RequestState | None, GrantState | None]]:
    return {host.host: (host.state, host.grant_state) for host in view.batch}


PENDING = (RequestState.PENDING, None)
ISSUED = (RequestState.APPROVED, GrantState.ISSUED)
LEFT_OUT = (None, None)


async def test_one_approval_makes_a_grant_on_each_host(fleet: Fleet) -> None:
    await fleet.build()
    view = await fleet.ask("tier=web")
    assert view.host == "web1"
    assert view.request.batch_id.startswith("bat-")
    assert states(view) == {"web1": PENDING, "web2": PENDING, "web3": PENDING}
    third = view.batch[2].request_id
    approved = await fleet.world.services.decisions.approve(fleet.carol, third)
    assert states(approved) == {"web1": ISSUED, "web2": ISSUED, "web3": ISSUED}
    for host in ("web1", "web2", "web3"):
        assert len(await fleet.world.wanted(fleet.hosts[host])) == 1
    assert await fleet.world.wanted(fleet.hosts["db1"]) == []
    kinds = await fleet.world.kinds()
    assert [kinds.count(f"{kind}") for kind in ("request.created", "request.approved", "grant.issued")] == [3, 3, 3]


async def test_each_grant_is_for_the_uid_that_its_host_names(fleet: Fleet) -> None:
    await fleet.build()
    view = await fleet.ask("web1", "web2")
    await fleet.world.services.decisions.approve(fleet.carol, view.request.request_id)
    grants = [(await fleet.seen(host.request_id)).grant for host in view.batch]
    assert [grant.grant.local_user for grant in grants if grant] == [
        fleet.world.local("alice"),
        LocalUser(UID_THERE, "alice"),
    ]
    assert fleet.world.accounts.asked == [(fleet.hosts["web2"].host_id, "alice")]


async def test_the_host_that_asks_need_not_be_among_them(fleet: Fleet) -> None:
    await fleet.build()
    view = await fleet.ask("web2", "web3", on="db1")
    assert view.host == "web2"
    mine = fleet.world.local("alice")
    local = await fleet.world.services.requests.get_local(fleet.hosts["db1"], mine, view.batch[1].request_id)
    assert local.host == "web3"
    with pytest.raises(NotFound):
        await fleet.world.services.requests.get_local(fleet.hosts["web1"], mine, view.request.request_id)
    cancelled = await fleet.world.services.requests.cancel_local(fleet.hosts["db1"], mine, view.request.request_id)
    assert {host.state for host in cancelled.batch} == {RequestState.CANCELLED}


async def test_what_was_asked_for_other_hosts_is_listed_where_it_was_asked(fleet: Fleet) -> None:
    await fleet.build(wide(hosts=Selector({"tier": LabelTest(frozenset({"web", "db"}))})))
    mine = fleet.world.local("alice")
    first = await fleet.ask("web2", "web3", on="db1")
    fleet.world.clock.advance(1)
    alone = await fleet.world.ask(fleet.hosts["db1"])
    fleet.world.clock.advance(1)
    last = await fleet.ask("web1", "db1", on="db1")

    async def listed(host: str, *, over_too: bool = False) -> list[str]:
        views = await fleet.world.services.requests.list_mine(fleet.hosts[host], mine, over_too=over_too)
        assert all(view.user == "alice" for view in views)
        return [view.request.request_id for view in views]

    def ids(view: RequestView) -> list[str]:
        return sorted(host.request_id for host in view.batch)

    of_web1 = {host.host: host.request_id for host in last.batch}["web1"]
    assert await listed("db1") == [*ids(last), alone.request.request_id, *ids(first)]
    assert await listed("web1") == [of_web1]
    assert len(await listed("web2")) == 1
    await fleet.world.services.requests.cancel_local(fleet.hosts["db1"], mine, first.request.request_id)
    assert await listed("db1") == [*ids(last), alone.request.request_id]
    assert await listed("db1", over_too=True) == [*ids(last), alone.request.request_id, *ids(first)]


async def test_labels_all_have_to_hold_and_names_are_added(fleet: Fleet) -> None:
    hosts = Selector({"tier": LabelTest(frozenset({"web", "db"}))})
    await fleet.build(wide(hosts=hosts, max_hosts=9), stage="prod")
    await fleet.add("web4", tier="web", stage="test")
    for asked, expected in (
        (["tier=web", "stage=prod"], {"web1", "web2", "web3"}),
        (["tier=web", "stage!=prod"], {"web4"}),
        (["stage=test", "db1"], {"web4", "db1"}),
        (["web2"], {"web2"}),
    ):
        assert {host.host for host in (await fleet.ask(*asked, dry_run=True)).batch} == expected
    for asked, why in (
        (["tier=none"], "no host is selected"),
        (["a=b=c"], "not allowed"),
        (["Web 1"], "not a host name"),
    ):
        with pytest.raises(Invalid, match=why):
            await fleet.ask(*asked)
    with pytest.raises(NotFound, match="no host 'web99'"):
        await fleet.ask("web99", "web1")


async def test_more_hosts_than_the_role_allows_are_refused_with_both_numbers(fleet: Fleet) -> None:
    await fleet.build(wide(max_hosts=2))
    with pytest.raises(Invalid, match="3 hosts are selected, and a request for role web may name 2 hosts at most"):
        await fleet.ask("tier=web")
    assert states(await fleet.ask("web1", "web2")) == {"web1": PENDING, "web2": PENDING}


async def test_hosts_that_cannot_be_asked_or_do_not_fit_are_left_out_and_named(fleet: Fleet) -> None:
    await fleet.build(wide(max_hosts=9))
    for name in ("web4", "web5", "web6"):
        await fleet.add(name, tier="web")
    answers, ids = fleet.world.accounts.answers, {name: host.host_id for name, host in fleet.hosts.items()}
    del answers[ids["web2"]]
    answers[ids["web3"]] = None
    answers[ids["web4"]] = LocalUser(0, "alice")
    answers[ids["web5"]] = LocalUser(UID_THERE, "carol")
    await fleet.world.hello(fleet.hosts["web6"], ahead_s=4_000)
    view = await fleet.ask("tier=web", "db1")
    assert states(view) == {"web1": PENDING, **dict.fromkeys(("db1", "web2", "web3", "web4", "web5", "web6"), LEFT_OUT)}
    why = {host.host: host.why for host in view.batch}
    assert why["web1"] == ""
    assert why["db1"] == "role web does not reach db1"
    assert why["web2"] == "it is not connected"
    assert why["web3"] == "it has no account alice, or more than one"
    assert "uid 0" in why["web4"]
    assert why["web5"] == "it answered for another account"
    assert "its clock" in why["web6"]
    approved = await fleet.world.services.decisions.approve(fleet.carol, view.request.request_id)
    assert states(approved)["web1"] == ISSUED
    assert [host for host, state in states(approved).items() if state == LEFT_OUT] == sorted(set(why) - {"web1"})


async def test_if_no_host_fits_nothing_is_made(fleet: Fleet) -> None:
    await fleet.build()
    with pytest.raises(Denied, match="does not reach db1"):
        await fleet.ask("db1")
    fleet.world.accounts.answers.clear()
    with pytest.raises(Unavailable, match="web2: it is not connected"):
        await fleet.ask("web2", "web3")
    assert await fleet.world.kinds("request.created") == []
    assert await fleet.world.kinds("request.refused") == ["request.refused"]


async def test_who_has_nothing_to_do_with_the_role_learns_nothing_of_its_hosts(fleet: Fleet) -> None:
    await fleet.build(wide(), replace(wide("others"), eligible=a_role(eligible=["bob"]).eligible))
    for role in ("others", "nowhere"):
        for host in ("web1", "web99"):
            with pytest.raises(Denied, match=f"alice is not eligible for a role '{role}'"):
                await fleet.ask(host, role=role)
    assert fleet.world.accounts.asked == []
    assert len(await fleet.world.kinds("request.refused")) == 4


async def test_a_host_that_comes_later_is_not_part_of_it(fleet: Fleet) -> None:
    await fleet.build()
    view = await fleet.ask("tier=web")
    await fleet.add("web4", tier="web")
    approved = await fleet.world.services.decisions.approve(fleet.carol, view.request.request_id)
    assert "web4" not in states(approved)
    assert await fleet.world.wanted(fleet.hosts["web4"]) == []


async def test_the_code_is_used_up_once(fleet: Fleet) -> None:
    world = fleet.world
    alice, totp = await world.with_factor("alice")
    await fleet.build(wide(mfa=True), alice=alice)
    with pytest.raises(Unauthenticated, match="one-time code"):
        await fleet.ask("tier=web")
    code = world.code(totp)
    view = await fleet.ask("tier=web", otp=code)
    assert [(await fleet.seen(host.request_id)).request.mfa_passed for host in view.batch] == [True] * 3
    with pytest.raises(Unauthenticated, match="used before"):
        await fleet.ask("tier=web", otp=code)


async def test_a_fresh_proof_is_of_its_own_host_and_does_not_reach_the_others(fleet: Fleet) -> None:
    """`mfa: {age}`: a host somebody else has taken over must not reach further by a code that was given on it."""
    world = fleet.world
    alice, totp = await world.with_factor("alice")
    await fleet.build(wide(mfa=True, mfa_age_s=3_600), alice=alice)
    await fleet.ask("web1", otp=world.code(totp))
    await fleet.ask("web1")
    with pytest.raises(Unauthenticated, match="one-time code"):
        await fleet.ask("tier=web")
    world.clock.advance(30)
    await fleet.ask("web2", on="web2", otp=world.code(totp))
    await fleet.ask("web1", "web2")


async def test_denying_or_cancelling_one_ends_all(fleet: Fleet) -> None:
    await fleet.build()
    denied = await fleet.ask("tier=web")
    view = await fleet.world.services.decisions.deny(fleet.carol, denied.batch[1].request_id)
    assert {host.state for host in view.batch} == {RequestState.DENIED}
    taken_back = await fleet.ask("tier=web")
    view = await fleet.world.services.requests.cancel(fleet.alice, taken_back.batch[2].request_id)
    assert {host.state for host in view.batch} == {RequestState.CANCELLED}
    with pytest.raises(Conflict, match="already cancelled"):
        await fleet.world.services.decisions.approve(fleet.carol, taken_back.request.request_id)


async def test_they_lapse_together(fleet: Fleet) -> None:
    await fleet.build()
    view = await fleet.ask("tier=web")
    fleet.world.clock.advance(24 * 3_600)
    with pytest.raises(Conflict, match="lapsed"):
        await fleet.world.services.decisions.approve(fleet.carol, view.request.request_id)
    assert {host.state for host in (await fleet.seen(view.request.request_id)).batch} == {RequestState.LAPSED}


async def test_two_approvals_are_two_peoples_for_all(fleet: Fleet) -> None:
    role = replace(a_role(approvers=["carol", "dave"], approvals=2), max_hosts=5)
    dave = await fleet.world.person("dave")
    await fleet.build(role)
    view = await fleet.ask("tier=web")
    first = await fleet.world.services.decisions.approve(fleet.carol, view.batch[0].request_id)
    assert set(states(first).values()) == {PENDING}
    with pytest.raises(Conflict, match="has voted"):
        await fleet.world.services.decisions.approve(fleet.carol, view.batch[1].request_id)
    second = await fleet.world.services.decisions.approve(dave, view.batch[2].request_id)
    assert set(states(second).values()) == {ISSUED}


async def test_nobody_approves_their_own_through_another_host_of_it(fleet: Fleet) -> None:
    """S8."""
    await fleet.build(replace(a_role(approvers=["alice", "carol"]), max_hosts=5))
    view = await fleet.ask("tier=web")
    for host in view.batch:
        with pytest.raises(Denied, match="their own"):
            await fleet.world.services.decisions.approve(fleet.alice, host.request_id)


async def test_a_host_that_is_removed_meanwhile_gets_no_grant_and_the_others_do(fleet: Fleet) -> None:
    await fleet.build()
    view = await fleet.ask("tier=web")
    await fleet.world.services.hosts.remove(fleet.world.root, "web2")
    approved = await fleet.world.services.decisions.approve(fleet.carol, view.request.request_id)
    assert states(approved)["web1"] == states(approved)["web3"] == ISSUED
    assert states(approved)["web2"][0] is RequestState.CANCELLED


async def test_a_limit_on_live_grants_counts_those_of_the_same_request(fleet: Fleet) -> None:
    limit = Concurrency(person=2)
    await fleet.build(wide(concurrent=limit, approvals=0), wide("asked", concurrent=limit))
    view = await fleet.ask("tier=web")
    assert states(view) == {"web1": ISSUED, "web2": ISSUED, "web3": LEFT_OUT}
    assert "gives 2 grants at once" in view.batch[2].why
    asked = await fleet.ask("tier=web", role="asked")
    approved = await fleet.world.services.decisions.approve(fleet.carol, asked.request.request_id)
    assert sorted(str(state) for _, state in states(approved).values()) == ["None", "issued", "issued"]
    (left_out,) = [host for host in approved.batch if host.grant_state is None]
    assert (left_out.state, "gives 2 grants at once" in left_out.why) == (RequestState.CANCELLED, True)


async def test_each_grant_ends_on_its_own(fleet: Fleet) -> None:
    await fleet.build(wide(approvals=0))
    view = await fleet.ask("tier=web")
    assert view.grant is not None
    await fleet.world.services.grants.drop(fleet.alice, view.grant.grant.grant_id)
    now = await fleet.seen(view.request.request_id)
    assert [host.grant_state for host in now.batch] == [GrantState.ENDED, GrantState.ISSUED, GrantState.ISSUED]


async def test_a_login_session_is_of_one_host(fleet: Fleet) -> None:
    await fleet.build()
    with pytest.raises(Invalid, match="one host only"):
        await fleet.ask("tier=web", session=7)
    assert (await fleet.ask("web1", session=7)).request.session == 7


async def test_a_request_for_many_hosts_is_one_of_those_that_may_wait(fleet: Fleet) -> None:
    await fleet.build(wide(max_hosts=9))
    for number in range(4, 10):
        await fleet.add(f"web{number}", tier="web")
    for _ in range(3):
        await fleet.ask("tier=web")
    assert len(await fleet.world.services.requests.list_visible(fleet.carol)) == 27
    await fleet.world.ask(fleet.hosts["web1"])


async def test_in_a_list_the_first_of_a_batch_tells_of_its_hosts(fleet: Fleet) -> None:
    await fleet.build()
    await fleet.ask("tier=web")
    listed = await fleet.world.services.requests.list_visible(fleet.carol)
    assert sorted(len(view.batch) for view in listed) == [0, 0, 3]
    assert len({view.request.batch_id for view in listed}) == 1
