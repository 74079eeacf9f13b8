"""SPEC 9.4, S8: a change by which somebody gains as root waits for a second person, who is never the first."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from jit_server.domain.identity import Duty, HostCaller, Person
from jit_server.domain.lifecycle import GrantState
from jit_server.domain.policy.finding import PolicyFile
from jit_server.domain.policy.model import ChangeControl, Party, Role
from jit_server.domain.policy_change import ChangeState
from jit_server.errors import Conflict, Denied, LimitExceeded, NotFound, Unauthenticated
from jit_server.services.locks import NewLock
from jit_server.services.policy_approvals import ChangeView
from jit_server.services.policy_changes import PolicyPlan
from jit_testing.core_world import CoreWorld
from jit_testing.server_fakes import a_policy, a_role

MORE = a_role(eligible=("alice", "bob"))
LESS = a_role(max_s=60)


@dataclass(slots=True)
class Governed:
    """Carol and dave approve changes of the policy, and so may `root`, who proposes them; one approval is needed."""

    world: CoreWorld
    carol: Person
    dave: Person
    host: HostCaller
    control: ChangeControl

    def files(self, *roles: Role, control: ChangeControl | None = None) -> tuple[PolicyFile, ...]:
        return self.world.parser.learn(replace(a_policy(*roles), changes=control or self.control))

    async def apply(
        self, *roles: Role, control: ChangeControl | None = None, caller: Person | None = None
    ) -> PolicyPlan:
        return await self.world.services.policy_changes.apply(
            caller or self.world.root, self.files(*roles, control=control), untrusted_reason="for bob"
        )

    async def proposed(self, *roles: Role) -> str:
        plan = await self.apply(*roles)
        assert plan.change is not None
        return plan.change.change_id

    async def approve(self, caller: Person, change_id: str) -> ChangeView:
        return await self.world.services.policy_approvals.approve(caller, change_id, "fine")

    async def version(self) -> int:
        return (await self.world.services.policies.show(self.world.root)).version

    async def state(self, change_id: str) -> ChangeState:
        return (await self.world.services.policy_approvals.get(self.world.root, change_id)).change.state


def control(approvals: int = 1, *, root_only: bool = True) -> ChangeControl:
    return ChangeControl(Party(people=frozenset({"root-admin", "carol", "dave"})), approvals, root_only)


@pytest.fixture
async def governed(world: CoreWorld) -> Governed:
    await world.person("alice")
    await world.person("bob")
    made = Governed(world, await world.person("carol"), await world.person("dave"), await world.host(), control())
    assert (await made.apply(a_role())).version == 1
    return made


async def test_a_gain_waits_for_somebody_else_and_then_is_in_force(governed: Governed) -> None:
    plan = await governed.apply(MORE)
    assert (plan.version, await governed.version()) == (0, 1)
    assert plan.draft.needs_approval == "role web: bob may ask for it, for longer, or without approval"
    assert plan.change is not None
    waiting = await governed.world.services.policy_approvals.get(governed.carol, plan.change.change_id)
    assert (waiting.proposed_by, waiting.approvers) == ("root-admin", ("carol", "dave"))
    assert waiting.plan is not None
    assert [change.people for change in waiting.plan.draft.reach] == [("bob",), ("bob",)]

    view = await governed.approve(governed.carol, plan.change.change_id)
    assert (view.change.state, view.change.version, view.approvers) == (ChangeState.APPLIED, 2, ())
    stored = await governed.world.services.policies.show(governed.world.root)
    assert (stored.version, stored.applied_by, stored.approved_by) == (2, "root-admin", ("carol",))
    assert (stored.reason, stored.digest) == ("for bob", plan.draft.digest)
    assert (await governed.world.ask(governed.host, "bob")).user == "bob"
    assert await governed.world.kinds("policy") == [
        "policy.applied", "policy.proposed", "policy.approved", "policy.applied",
    ]  # fmt: skip


async def test_a_loss_waits_for_nobody(governed: Governed) -> None:
    grant_id = await governed.world.granted(governed.host, governed.carol)
    plan = await governed.apply(LESS)
    assert (plan.version, plan.change, plan.draft.needs_approval) == (2, None, "")
    assert await governed.world.state(grant_id) is GrantState.ENDED


async def test_nothing_happens_while_a_change_waits(governed: Governed) -> None:
    """It both gives and takes: as a whole it waits."""
    grant_id = await governed.world.granted(governed.host, governed.carol)
    change_id = await governed.proposed(a_role(eligible=("bob",)))
    with pytest.raises(Denied, match="not eligible"):
        await governed.world.ask(governed.host, "bob")
    assert await governed.world.state(grant_id) is GrantState.ISSUED
    await governed.approve(governed.dave, change_id)
    assert await governed.world.state(grant_id) is GrantState.ENDED
    with pytest.raises(Denied, match="not eligible"):
        await governed.world.ask(governed.host, "alice")


async def test_who_proposed_never_approves_and_others_only_if_they_are_named(governed: Governed) -> None:
    """S8: `root-admin` is named among the approvers, and still cannot approve what they proposed."""
    change_id = await governed.proposed(MORE)
    with pytest.raises(Denied, match="nobody approves their own change") as refused:
        await governed.approve(governed.world.root, change_id)
    assert refused.value.hint == "take it back with: jitctl policy change reject"
    admin = await governed.world.person("zoe", Duty.ADMIN)
    for stranger in (admin, await governed.world.person("yves")):
        with pytest.raises(Denied, match="may not decide on changes"):
            await governed.approve(stranger, change_id)
        with pytest.raises(Denied, match="may not decide on changes"):
            await governed.world.services.policy_approvals.reject(stranger, change_id)
    assert await governed.state(change_id) is ChangeState.PENDING
    assert (await governed.approve(governed.carol, change_id)).change.state is ChangeState.APPLIED


async def test_two_approvals_are_of_two_people(governed: Governed) -> None:
    two = control(2)
    await governed.approve(governed.carol, await _waiting(await governed.apply(a_role(), control=two)))
    governed.control = two
    change_id = await governed.proposed(MORE)
    assert (await governed.approve(governed.carol, change_id)).change.state is ChangeState.PENDING
    with pytest.raises(Conflict, match="carol has voted"):
        await governed.approve(governed.carol, change_id)
    assert (await governed.approve(governed.dave, change_id)).change.state is ChangeState.APPLIED
    stored = await governed.world.services.policies.show(governed.world.root)
    assert stored.approved_by == ("carol", "dave")


async def test_a_vote_of_somebody_who_was_disabled_does_not_count(governed: Governed) -> None:
    """S10."""
    eve = await governed.world.person("eve")
    three = replace(control(2), approvers=Party(people=frozenset({"carol", "dave", "eve"})))
    await governed.approve(governed.carol, await _waiting(await governed.apply(a_role(), control=three)))
    governed.control = three
    change_id = await governed.proposed(MORE)
    await governed.approve(governed.carol, change_id)
    await governed.world.services.people.disable(governed.world.root, "carol")
    with pytest.raises(Unauthenticated):
        await governed.approve(governed.carol, change_id)
    assert (await governed.approve(governed.dave, change_id)).change.state is ChangeState.PENDING
    assert (await governed.approve(eve, change_id)).change.state is ChangeState.APPLIED


async def test_a_vote_that_counts_again_is_enough_once_somebody_who_voted_says_so_again(governed: Governed) -> None:
    """S8, S10: nobody else is left to vote, and still no one votes twice."""
    two = control(2)
    await governed.approve(governed.carol, await _waiting(await governed.apply(a_role(), control=two)))
    governed.control = two
    change_id = await governed.proposed(MORE)
    before = len(await governed.world.events("policy.approved"))
    await governed.approve(governed.carol, change_id)
    governed.world.clock.advance(1)
    locks = governed.world.services.locks
    lock = await locks.create(governed.world.root, NewLock("user", "carol", "stolen laptop"))
    assert (await governed.approve(governed.dave, change_id)).change.state is ChangeState.PENDING
    with pytest.raises(Conflict, match="dave has voted"):
        await governed.approve(governed.dave, change_id)
    with pytest.raises(Denied):
        await governed.approve(governed.carol, change_id)
    await locks.lift(governed.world.root, lock.lock_id, "found it")
    with pytest.raises(Conflict, match="dave has voted"):
        await governed.world.services.policy_approvals.reject(governed.dave, change_id)
    view = await governed.approve(governed.dave, change_id)
    assert (view.change.state, view.change.version) == (ChangeState.APPLIED, 3)
    assert [decision.by for decision in view.decisions] == ["carol", "dave"]
    assert (await governed.world.services.policies.show(governed.world.root)).approved_by == ("carol", "dave")
    assert len(await governed.world.events("policy.approved")) == before + 2


async def test_a_change_of_a_person_who_may_no_longer_make_one_is_not_applied(governed: Governed) -> None:
    zoe = await governed.world.person("zoe", Duty.ADMIN)
    change_id = await _waiting(await governed.apply(MORE, caller=zoe))
    await governed.world.services.people.disable(governed.world.root, "zoe")
    with pytest.raises(Conflict, match="zoe proposed this and may no longer"):
        await governed.approve(governed.carol, change_id)
    await governed.world.services.people.enable(governed.world.root, "zoe")
    assert (await governed.approve(governed.carol, change_id)).change.state is ChangeState.APPLIED


async def test_another_version_in_force_overtakes_what_waits(governed: Governed) -> None:
    change_id = await governed.proposed(MORE)
    assert (await governed.apply(LESS)).version == 2
    assert await governed.state(change_id) is ChangeState.OVERTAKEN
    with pytest.raises(Conflict, match="already overtaken"):
        await governed.approve(governed.carol, change_id)
    (event,) = await governed.world.events("policy.overtaken")
    assert event.event.details == {"change": change_id, "version": 2}


async def test_an_approver_turns_a_change_down_and_who_proposed_it_takes_it_back(governed: Governed) -> None:
    reject = governed.world.services.policy_approvals.reject
    first, second = await governed.proposed(MORE), await governed.proposed(a_role(approvals=0))
    assert (await reject(governed.carol, first, "no")).change.state is ChangeState.REJECTED
    assert (await reject(governed.world.root, second)).change.state is ChangeState.WITHDRAWN
    for change_id in (first, second):
        for act in (governed.approve, reject):
            with pytest.raises(Conflict, match="already"):
                await act(governed.dave, change_id)
    assert await governed.version() == 1


async def test_the_same_change_is_proposed_once_and_only_so_many_wait(governed: Governed) -> None:
    files = governed.files(MORE)
    apply = governed.world.services.policy_changes.apply
    first, again = await apply(governed.world.root, files), await apply(governed.world.root, files)
    assert first.change == replace(again.change, files=files) if again.change else False
    for number in range(19):
        await governed.proposed(a_role(eligible=(f"u{number}",)))
    with pytest.raises(LimitExceeded, match="20 changes"):
        await governed.proposed(a_role(eligible=("last",)))
    assert len(await governed.world.services.policy_approvals.list_changes(governed.dave)) == 20


async def test_going_back_to_more_rights_needs_the_second_person_too(governed: Governed) -> None:
    await governed.apply(LESS)
    plan = await governed.world.services.policy_changes.rollback(governed.world.root, 1)
    assert (plan.version, plan.draft.needs_approval) == (0, "role web: the duration is loosened")
    await governed.approve(governed.carol, await _waiting(plan))
    stored = await governed.world.services.policies.show(governed.world.root)
    assert (stored.version, stored.rolled_back_to, stored.approved_by) == (3, 1, ("carol",))


async def test_everything_needs_approval_where_the_policy_in_force_says_so(governed: Governed) -> None:
    """And what counts is the policy in force, never the one that is proposed."""
    strict = control(root_only=False)
    waiting = await _waiting(await governed.apply(a_role(), control=strict))
    await governed.approve(governed.carol, waiting)
    none = await governed.apply(LESS, control=ChangeControl())
    assert (none.version, none.draft.needs_approval) == (0, "the policy in force asks for it with every change")


async def test_a_policy_nobody_else_could_ever_change_again_is_refused(governed: Governed) -> None:
    """The last administrator cannot lock everyone out: not with the first policy, and not later."""
    only_me = replace(control(), approvers=Party(people=frozenset({"root-admin", "nobody"})))
    for bad in (only_me, control(3), replace(control(), approvers=Party())):
        plan = await governed.apply(a_role(), control=bad)
        assert (plan.version, plan.change) == (0, None)
        assert "could never be changed again" in plan.draft.findings[-1].message
    await governed.world.services.people.disable(governed.world.root, "carol")
    await governed.world.services.people.disable(governed.world.root, "dave")
    linted = await governed.world.services.policies.lint(governed.world.root, governed.files(LESS))
    assert "nobody could give one" in linted.findings[-1].message


async def test_who_has_to_do_with_changes_sees_them_and_nobody_else(governed: Governed) -> None:
    change_id = await governed.proposed(MORE)
    approvals = governed.world.services.policy_approvals
    auditor = await governed.world.person("otto", Duty.AUDITOR)
    for reader in (governed.world.root, auditor, governed.carol):
        (view,) = await approvals.list_changes(reader)
        assert (view.change.change_id, view.change.files) == (change_id, ())
    alice = await governed.world.person("mallory")
    with pytest.raises(Denied):
        await approvals.list_changes(alice)
    with pytest.raises(Denied):
        await approvals.get(alice, change_id)
    with pytest.raises(NotFound):
        await approvals.get(governed.carol, "chg-0000")
    await governed.approve(governed.carol, change_id[4:10])
    assert await approvals.list_changes(governed.carol) == ()
    assert [one.change.state for one in await approvals.list_changes(governed.carol, over_too=True)] == [
        ChangeState.APPLIED
    ]


async def _waiting(plan: PolicyPlan) -> str:
    assert plan.change is not None, plan.draft
    return plan.change.change_id
