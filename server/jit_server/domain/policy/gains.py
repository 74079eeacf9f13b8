"""Whether somebody would gain the right to be root by another policy, or come to it more easily (SPEC 9.4).

Compared is what is written, never which hosts and people happen to exist: a right that nobody can use today is a right
tomorrow.  What cannot be told to be the same or less counts as a gain (S6).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from jit_server.domain.ask import covers
from jit_server.domain.grant import Record
from jit_server.domain.policy.conditions import AllOf, AnyOf, Condition
from jit_server.domain.policy.difference import listed
from jit_server.domain.policy.expression import Expression
from jit_server.domain.policy.model import (
    ROOT_GROUPS,
    ChangeControl,
    Eligibility,
    Extend,
    LabelTest,
    Party,
    Policy,
    Role,
    Selector,
)

_RECORDS = (Record.NONE, Record.EVENTS, Record.OUTPUT, Record.INPUT)
_GROUPS = re.compile(r"\bgroups\b")
_EXTENDS = (Extend.NEVER, Extend.APPROVAL, Extend.SELF)


def gains_as_root(before: Policy, after: Policy, now: int) -> tuple[str, ...]:
    """Say by what somebody would gain as root, or come to it more easily; empty: by nothing."""
    found = [] if _control(before) == _control(after) else ["who has to approve changes of the policy changes"]
    for name, role in sorted(after.roles.items()):
        if not _makes_root(role) or not any(after.named(one.party) for one in role.eligible):
            continue
        old = before.roles.get(name)
        if old is None or not _makes_root(old):
            found.append(f"role {name} gives root and is new")
            continue
        found += [f"role {name}: {why}" for why in wider(before, old, after, role, now)]
    return tuple(found)


def _makes_root(role: Role) -> bool:
    """Whether somebody is root by it, or can make themselves root by a group that it gives."""
    return role.gives_root or not ROOT_GROUPS.isdisjoint(role.run_as_groups)


def _control(policy: Policy) -> ChangeControl:
    """As it counts: with the people of its groups by name."""
    if not policy.changes.approvals:
        return ChangeControl()
    named = Party(people=policy.named(policy.changes.approvers))
    return ChangeControl(named, policy.changes.approvals, policy.changes.root_only)


def wider(before: Policy, old: Role, after: Policy, new: Role, now: int) -> Iterator[str]:
    """Say by what the new role gives more than the old one, or more easily; nothing: it gives no more."""
    gained = sorted(_people_gained(before, old, after, new, now))
    if gained:
        yield f"{listed(gained)} may ask for it, for longer, or without approval"
    if _knows_groups(new.when) and (moved := sorted(_moved(before, after, new))):
        yield f"its conditions look at groups, and {listed(moved)} would be in others"
    if not _reaches(old.hosts, new.hosts):
        yield "it reaches other hosts"
    if not covers(old.commands, new.commands) or (new.shell and not old.shell):
        yield "it lets other commands through"
    for what, ours, theirs in (
        ("users", new.run_as_users, old.run_as_users),
        ("groups", new.run_as_groups, old.run_as_groups),
        ("environment variables", new.environment, old.environment),
    ):
        if not set(ours) <= set(theirs):
            yield f"it takes other {what}"
    if new.directory != old.directory:
        yield "its commands run in another directory"
    for what, weaker in _loosened(old, new):
        if weaker:
            yield f"{what} is loosened"
    # They renew eligibilities and watch sessions as well.
    decide = new.approvals or new.renew_s or new.watch_s
    if decide and not after.named(new.approvers) <= before.named(old.approvers):
        yield "others may approve it"


def _loosened(old: Role, new: Role) -> Iterator[tuple[str, bool]]:
    yield "the duration", new.max_s > old.max_s
    yield "approval", new.approvals < old.approvals
    yield "the one-time code", (old.mfa and not new.mfa) or (new.mfa and new.mfa_age_s > old.mfa_age_s)
    yield "the reason", old.reason and not new.reason
    yield "the ticket", old.ticket and (not new.ticket or new.ticket_pattern != old.ticket_pattern)
    yield "a condition", any(condition not in new.when for condition in old.when)
    yield "what is recorded", _RECORDS.index(new.record) < _RECORDS.index(old.record)
    yield "that a record is required", old.required and not new.required
    yield "that subcommands are recorded", old.subcommands and not new.subcommands
    yield "how long recordings are kept", new.retain_s < old.retain_s
    yield "that sessions are watched", old.watch_s > 0 and not 0 < new.watch_s <= old.watch_s
    yield "who may extend", _EXTENDS.index(new.extend) > _EXTENDS.index(old.extend)
    yield "the lease", old.lease_s > 0 and not 0 < new.lease_s <= old.lease_s
    yield "that a grant is for one sudo", old.once and not new.once
    for ours, theirs in (
        (new.concurrent.person, old.concurrent.person),
        (new.concurrent.everybody, old.concurrent.everybody),
    ):
        yield "how many grants may live at once", theirs > 0 and not 0 < ours <= theirs
    yield "how many hosts one request may name", new.max_hosts > old.max_hosts
    yield "renewal", new.renew_s > old.renew_s


def _people_gained(before: Policy, old: Role, after: Policy, new: Role, now: int) -> set[str]:
    """Those with a time of eligibility ahead, or to be renewed, that no former one of theirs holds in it."""
    renewed = {renewal.line_until for renewal in after.renewals if renewal.role == new.name and renewal.until > now}
    gained: set[str] = set()
    for one in new.eligible:
        renewable = new.renew_s > 0 and one.until > 0 and not one.active
        if 0 < one.until <= now and one.until not in renewed and not renewable:
            continue
        had = [former for former in old.eligible if _within(one, former, now)]
        if one.until in renewed:
            # Beside a line that ends just then a renewal counts, beside another one it does not.
            had = [former for former in had if former.until in {0, one.until}]
        if renewable:
            # One administrator decides on a renewal, also of what has just ended; an active line has none.
            had = [former for former in had if former.until == 0 or not former.active]
        gained |= after.named(one.party).difference(*(before.named(former.party) for former in had))
    return gained


def _knows_groups(conditions: Iterable[Condition]) -> bool:
    """Whether one of the conditions, or of those within them, is an expression that looks at the person's groups."""
    for condition in conditions:
        match condition:
            case Expression(text=text) if _GROUPS.search(text):
                return True
            case AnyOf(conditions=inner) | AllOf(conditions=inner) if _knows_groups(inner):
                return True
    return False


def _moved(before: Policy, after: Policy, role: Role) -> frozenset[str]:
    """Those who may ask for the role and come into a group or leave one."""
    none: frozenset[str] = frozenset()
    names = before.groups.keys() | after.groups.keys()
    moved = none.union(*(before.groups.get(name, none) ^ after.groups.get(name, none) for name in names))
    return moved & none.union(*(after.named(one.party) for one in role.eligible))


def _within(one: Eligibility, former: Eligibility, now: int) -> bool:
    begins = max(one.since, now) >= max(former.since, now)
    ends = former.until == 0 or 0 < one.until <= former.until
    return begins and ends and (former.active or not one.active)


def _reaches(wide: Selector, narrow: Selector) -> bool:
    """Whether every host that the second selects, known or not, is selected by the first."""
    if wide.all_hosts or not (narrow.all_hosts or narrow.labels):
        return True
    if narrow.all_hosts or not wide.labels:
        return False
    return all(key in narrow.labels and _implies(narrow.labels[key], test) for key, test in wide.labels.items())


def _implies(narrow: LabelTest, wide: LabelTest) -> bool:
    if wide.negated:
        return wide.values <= narrow.values if narrow.negated else wide.values.isdisjoint(narrow.values)
    return not narrow.negated and narrow.values <= wide.values
