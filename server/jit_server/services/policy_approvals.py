"""The second person (SPEC 9.4): changes of the policy that wait, and who lets them through (S8).

Who may decide is what the policy in force says, never the one that is proposed; and never who proposed it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from jit_server.domain import lock as locking
from jit_server.domain.events import EventKind
from jit_server.domain.identity import Duty, Person, User
from jit_server.domain.ids import Kind, id_prefix
from jit_server.domain.policy.model import Policy
from jit_server.domain.policy_change import ChangeState, PolicyChange, may_approve
from jit_server.domain.request import Decision, check_reason
from jit_server.errors import Conflict, Denied
from jit_server.ports import Clock
from jit_server.services import access
from jit_server.services.policy_book import PolicyBook
from jit_server.services.policy_changes import PolicyChangeService, PolicyPlan, note_policy
from jit_server.services.policy_plans import Draft, World, draft, look
from jit_server.services.views import DecisionView
from jit_server.store import Store, Transaction

LISTED = 100


@dataclass(frozen=True, slots=True)
class ChangeView:
    """A change with names in place of ids; `approvers` may still decide on it, none once it is decided.

    `plan` is what it would do now, where that was asked for.
    """

    change: PolicyChange
    proposed_by: str
    approvers: tuple[str, ...]
    decisions: tuple[DecisionView, ...]
    plan: PolicyPlan | None = None


class PolicyApprovalService:
    def __init__(self, store: Store, clock: Clock, book: PolicyBook, changes: PolicyChangeService) -> None:
        self._store = store
        self._clock = clock
        self._book = book
        self._changes = changes

    async def list_changes(self, caller: Person, *, over_too: bool = False) -> tuple[ChangeView, ...]:
        """Those that wait, newest first; with `over_too` the newest 100 there ever were.  Without their files.

        Raises `Denied` unless an administrator, an auditor or an approver of changes asks.
        """
        async with self._store.read() as tx:
            policy = await self._reader(tx, caller)
            found = await (tx.policy_changes.newest(LISTED) if over_too else tx.policy_changes.pending())
            return await _views(tx, policy, found)

    async def glance(self, caller: Person, change_id: str) -> ChangeView:
        """One change without its files and plan.  Raises as `list_changes`."""
        async with self._store.read() as tx:
            await self._reader(tx, caller)
            view = await self._view(tx, change_id)
        return replace(view, change=replace(view.change, files=()))

    async def get(self, caller: Person, untrusted_id: str) -> ChangeView:
        """One change with its files and, while it waits, what it would do now.  Raises as `list_changes`."""
        async with self._store.read() as tx:
            policy = await self._reader(tx, caller)
            change = await _find(tx, untrusted_id)
            (view,) = await _views(tx, policy, [change])
            world = await look(tx, self._book, self._clock, used=True)
        if change.state is not ChangeState.PENDING:
            return view
        made = await draft(self._book, world, change.files, change.proposed_by)
        return replace(view, plan=await self._changes.would(made, world))

    async def approve(self, caller: Person, untrusted_id: str, untrusted_reason: str = "") -> ChangeView:
        """Vote for a change; with the last vote needed it is planned once more and comes into force.

        Who voted for it before gives no second vote, but brings it into force if enough votes count by now: one of
        them may not have counted for a while, as of somebody who was locked.

        Raises `Denied` for who may not decide on it (who proposed it never may), `Conflict` if it is decided, voted on
        by the caller and still short of votes, or can no longer be applied; then the vote is not kept.
        """
        reason = check_reason(untrusted_reason)
        async with self._changes.alone:
            async with self._store.read() as tx:
                change = await self._waiting(tx, caller, untrusted_id)
                world = await look(tx, self._book, self._clock, used=True)
            made = await self._last_look(change, world, caller)
            async with self._store.write() as tx:
                change = await self._waiting(tx, caller, change.change_id)
                voter, now = await access.person(tx, caller), self._clock.now()
                if made is None or voter.user_id not in change.approvals:
                    _check_first_vote(change, voter)
                    vote = Decision(voter.user_id, True, reason, now)
                    await tx.policy_changes.add_decision(change.change_id, vote)
                    await note_policy(tx, EventKind.POLICY_APPROVED, voter, now, change=change.change_id, reason=reason)
                    change = replace(change, decisions=(*change.decisions, vote))
                if made is not None:
                    await self._put_in_force(tx, change, made)
            # Only now, for the book must never know a version that was not committed.
            if made is not None and made.policy is not None:
                self._book.adopt(made.policy)
        async with self._store.read() as tx:
            return await self._view(tx, change.change_id)

    async def reject(self, caller: Person, untrusted_id: str, untrusted_reason: str = "") -> ChangeView:
        """Turn a change down, or take one's own back.  Raises `Denied` and `Conflict` as `approve` does."""
        reason = check_reason(untrusted_reason)
        async with self._store.write() as tx:
            user, now = await access.person(tx, caller), self._clock.now()
            change = await _find(tx, untrusted_id)
            mine = change.proposed_by == user.user_id
            if not mine:
                change = await self._waiting(tx, caller, untrusted_id)
                _check_first_vote(change, user)
                await tx.policy_changes.add_decision(change.change_id, Decision(user.user_id, False, reason, now))
            state = ChangeState.WITHDRAWN if mine else ChangeState.REJECTED
            await tx.policy_changes.close(change.change_id, state, now)
            await note_policy(
                tx, EventKind.POLICY_REJECTED, user, now, change=change.change_id, reason=reason, withdrawn=mine
            )
            return await self._view(tx, change.change_id)

    async def _reader(self, tx: Transaction, caller: Person) -> Policy:
        user = await access.person(tx, caller)
        policy = await self._book.current(tx)
        if user.duties.isdisjoint({Duty.ADMIN, Duty.AUDITOR}) and not may_approve(policy, "", [user]):
            raise Denied("only an administrator, an auditor or an approver of policy changes may read this")
        return policy

    async def _waiting(self, tx: Transaction, caller: Person, untrusted_id: str) -> PolicyChange:
        """The change, if it waits and the caller may decide on it now, whether they voted or not."""
        voter = await access.person(tx, caller)
        policy = await self._book.current(tx)
        if not may_approve(policy, "", [voter]):
            raise Denied(f"{voter.name} may not decide on changes of the policy")
        change = await _find(tx, untrusted_id)
        if change.proposed_by == voter.user_id:
            raise Denied("nobody approves their own change", hint="take it back with: jitctl policy change reject")
        if change.state is not ChangeState.PENDING:
            raise Conflict(f"the change is already {change.state.value}")
        if change.base_version != policy.version:
            raise Conflict(
                f"the change was made against version {change.base_version}, and {policy.version} is in force"
            )
        return change

    async def _last_look(self, change: PolicyChange, world: World, caller: Person) -> Draft | None:
        """The change compared once more if with the caller's vote it has all it needs; else None."""
        votes = _counted(change, world.policy, world.people) | {caller.user_id}
        if len(votes) < _needed(change, world.policy):
            return None
        return await draft(self._book, world, change.files, change.proposed_by)

    async def _put_in_force(self, tx: Transaction, change: PolicyChange, made: Draft) -> None:
        """Raises `Conflict` if who proposed it may no longer change the policy, or it can no longer be applied."""
        policy, people = await self._book.current(tx), await tx.people.all()
        names = {user.user_id: user.name for user in people}
        votes = _counted(change, policy, people)
        if len(votes) < _needed(change, policy):
            raise Conflict("somebody who approved this may no longer do so", hint="try again")
        proposer = await tx.people.get(change.proposed_by)
        if (
            proposer is None
            or proposer.disabled
            or Duty.ADMIN not in proposer.duties
            or locking.on_person(policy.locks, proposer) is not None
        ):
            raise Conflict(
                f"{names.get(change.proposed_by, 'who')} proposed this and may no longer change the policy",
                hint="another administrator has to propose it",
            )
        if made.policy is None:
            problems = [finding.message for finding in made.findings] + [test.message for test in made.failed_tests]
            raise Conflict(f"the change can no longer be applied: {problems[-1]}", hint="see: jitctl policy changes")
        approved_by = tuple(names[user_id] for user_id in change.approvals if user_id in votes)
        plan = await self._changes.put_in_force(tx, made, change, proposer=proposer, approved_by=approved_by)
        await tx.policy_changes.close(change.change_id, ChangeState.APPLIED, self._clock.now(), plan.version)

    async def _view(self, tx: Transaction, change_id: str) -> ChangeView:
        policy = await self._book.current(tx)
        (view,) = await _views(tx, policy, [await _find(tx, change_id)])
        return view


def _check_first_vote(change: PolicyChange, voter: User) -> None:
    if any(vote.user_id == voter.user_id for vote in change.decisions):
        raise Conflict(f"{voter.name} has voted on this change already", hint="somebody else has to approve too")


def _counted(change: PolicyChange, policy: Policy, people: Sequence[User]) -> set[str]:
    """The ids of those who approved and still may: votes of people who lost the right do not count (S10)."""
    able = {user.user_id for user in may_approve(policy, change.proposed_by, people)}
    return able.intersection(change.approvals)


def _needed(change: PolicyChange, policy: Policy) -> int:
    return max(change.approvals_needed, policy.changes.approvals)


async def _find(tx: Transaction, untrusted_id: str) -> PolicyChange:
    return access.only(await tx.policy_changes.find(id_prefix(Kind.CHANGE, untrusted_id)), "change", untrusted_id)


async def _views(tx: Transaction, policy: Policy, changes: Sequence[PolicyChange]) -> tuple[ChangeView, ...]:
    people = await tx.people.all()
    names = {user.user_id: user.name for user in people}
    return tuple(
        ChangeView(
            change=change,
            proposed_by=names[change.proposed_by],
            approvers=_approvers(change, policy, people),
            decisions=tuple(
                DecisionView(names[vote.user_id], vote.approved, vote.reason, vote.at) for vote in change.decisions
            ),
        )
        for change in changes
    )


def _approvers(change: PolicyChange, policy: Policy, people: Sequence[User]) -> tuple[str, ...]:
    if change.state is not ChangeState.PENDING:
        return ()
    voted = {vote.user_id for vote in change.decisions}
    able = may_approve(policy, change.proposed_by, people)
    return tuple(user.name for user in able if user.user_id not in voted)
