"""What a change of the policy does, in words: people first, then grants and requests, then the roles key by key."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from .model import Decision
from .output import facts
from .policy_model import (
    EndingGrant,
    EndingRequest,
    Finding,
    PolicyChange,
    PolicyPlan,
    PolicyReport,
    PolicyVersion,
    ReachChange,
    RoleChange,
    TestResult,
)

When = Callable[[datetime | None], str]

_NAMED = 12
"""So many names are written out; the JSON forms have all the server gave."""


def plural(count: int, noun: str) -> str:
    """`1 error`, `2 errors`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def place(file: str, line: int, column: int = 0) -> str:
    """`roles.yaml:3:5`, as far as it is known."""
    return ":".join([file or "policy", *(str(number) for number in (line, column) if number)])


def finding(found: Finding) -> str:
    rule = f" [{found.rule}]" if found.rule else ""
    fix = f"; {found.fix}" if found.fix else ""
    return f"{place(found.file, found.line, found.column)}: {found.severity}: {found.message}{fix}{rule}"


def findings(report: PolicyReport, *, suppressed: bool) -> Iterator[str]:
    yield from map(finding, report.findings)
    if suppressed:
        yield from (f"{finding(found)} (suppressed)" for found in report.suppressed)


def tally(report: PolicyReport) -> str:
    """`2 errors, 1 warning, 3 suppressed`; empty when there is nothing to say."""
    counts = (
        (report.errors, plural(report.errors, "error")),
        (report.warnings, plural(report.warnings, "warning")),
        (len(report.suppressed), f"{len(report.suppressed)} suppressed"),
    )
    return ", ".join(words for count, words in counts if count)


def result(tested: TestResult) -> str:
    verdict = "passed" if tested.passed else "FAILED"
    message = f": {tested.message}" if tested.message else ""
    return f"{place(tested.file, tested.line)}: {verdict}: {tested.name}{message}"


def plan(planned: PolicyPlan, *, verbose: bool) -> Iterator[str]:
    """Every line of `plan`: what is wrong, or what it does to people, and then in detail."""
    yield from findings(planned.report, suppressed=verbose)
    yield from map(result, planned.failed_tests)
    if planned.impossible:
        return
    if not planned.changes_anything:
        yield "Nothing changes."
        return
    yield from _summary(planned)
    yield from _details(planned)


def _summary(planned: PolicyPlan) -> Iterator[str]:
    yield from map(reach, planned.reach)
    yield from _more(planned.reach, planned.reach_count, "such changes")
    if not planned.reach:
        yield "Nobody gains or loses a command anywhere; how they come by it may change, as told below."
    if planned.grants:
        yield f"{plural(planned.grants_count, 'live grant')} will end"
    if planned.requests:
        yield f"{plural(planned.requests_count, 'pending request')} will be cancelled"
    if planned.needs_approval:
        yield f"Somebody else has to approve it: {planned.needs_approval}"


def _more(listed: Sequence[object], count: int, what: str) -> Iterator[str]:
    """That there are more than the server lists, if there are."""
    if count > len(listed):
        yield f"and {count - len(listed)} more {what}"


def reach(change: ReachChange) -> str:
    """`+3 people can become root on 12 hosts, by web-admin`; of one person `carol loses db-admin: …`."""
    roles = ", ".join(change.roles)
    where = change.hosts[0] if change.hosts_count == 1 and change.hosts else plural(change.hosts_count, "host")
    act = f"become {change.run_as}" if change.everything else f"run commands as {change.run_as}"
    able = "can" if change.gained else "can no longer"
    if change.people_count == 1 and change.people:
        verb = "gains" if change.gained else "loses"
        named = f" {verb} {roles}:" if roles else ""
        return f"{'+' if change.gained else '-'}{change.people[0]}{named} {able} {act} on {where}"
    people = f"{'+' if change.gained else '-'}{change.people_count} people"
    return f"{people} {able} {act} on {where}{f', by {roles}' if roles else ''}"


def names(shown: Sequence[str], count: int) -> str:
    """Some names, and how many there are beside them."""
    some = ", ".join(shown[:_NAMED])
    more = max(count, len(shown)) - min(len(shown), _NAMED)
    return f"{some} and {more} more" if more else some


def _details(planned: PolicyPlan) -> Iterator[str]:
    for change in planned.reach:
        if change.people_count > 1 or change.hosts_count > 1:
            yield ""
            yield reach(change)
            yield f"    people: {names(change.people, change.people_count)}"
            yield f"    hosts: {names(change.hosts, change.hosts_count)}"
    if planned.grants or planned.requests:
        yield ""
        yield from (_ending(one.grant_id, one) for one in planned.grants)
        yield from _more(planned.grants, planned.grants_count, "grants")
        yield from (_ending(one.request_id, one) for one in planned.requests)
        yield from _more(planned.requests, planned.requests_count, "requests")
    for role in planned.roles:
        yield ""
        yield from _role(role)


def _ending(identifier: str, one: EndingGrant | EndingRequest) -> str:
    return f"{identifier} of {one.user} on {one.host} ({one.role}): {one.why}"


def _role(change: RoleChange) -> Iterator[str]:
    yield f"role {change.role}: {change.what}"
    yield from (f"    {line}" for line in change.details)


def outcome(planned: PolicyPlan) -> str:
    """One line on what came of `apply` or `rollback`."""
    if planned.change is not None:
        return proposed(planned.change)
    if planned.impossible:
        wrong = ", ".join(filter(None, (tally(planned.report), _failed(planned.failed_tests))))
        return f"{wrong}; nothing was changed"
    if not planned.version:
        return f"nothing changes: policy version {planned.current_version} says the same"
    ended = f"{plural(planned.grants_count, 'grant')} ended"
    cancelled = f", {plural(planned.requests_count, 'request')} cancelled" if planned.requests_count else ""
    return f"policy version {planned.version} is in force, {ended}{cancelled}"


def _failed(tests: Sequence[TestResult]) -> str:
    return f"{plural(len(tests), 'test')} failed" if tests else ""


def proposed(change: PolicyChange) -> str:
    """Who has to say yes before it is in force."""
    who = ", ".join(change.approvers) or "nobody"
    return f"proposed as {change.change_id}, waits for {_missing(change)} of {who}"


def _missing(change: PolicyChange) -> int:
    return max(0, change.approvals_needed - sum(decision.approved for decision in change.decisions))


def standing(change: PolicyChange) -> str:
    """Where a change stands, in a few words."""
    match change.state:
        case "pending":
            return f"waits for {_missing(change)} of {', '.join(change.approvers) or 'nobody'}"
        case "applied" if change.version:
            return f"applied as version {change.version}"
        case state:
            return state


def change_facts(change: PolicyChange, when: When) -> list[str]:
    """Every line that matters to somebody who decides, and what the change would do."""
    lines = facts(
        ("Change", change.change_id),
        ("State", standing(change)),
        ("Proposed by", f"{change.proposed_by}, {when(change.proposed_at)}"),
        ("Reason", change.reason or "(none)"),
        ("Against", f"version {change.base_version}"),
        ("Files", ", ".join(file.name for file in change.files)),
        ("May decide", ", ".join(change.approvers) or "nobody"),
        ("Decisions", [_decision(decision, when) for decision in change.decisions]),
    )
    planned = change.plan
    return [*lines, *(["", *plan(planned, verbose=False)] if planned is not None else [])]


def _decision(decision: Decision, when: When) -> str:
    word = "approved" if decision.approved else "rejected"
    because = f": {decision.reason}" if decision.reason else ""
    return f"{word} by {decision.by}, {when(decision.at)}{because}"


def origin(version: PolicyVersion) -> str:
    """What a version is beside its files: a former one again, or why it was made."""
    again = f"version {version.rolled_back_to} again" if version.rolled_back_to else ""
    return ": ".join(filter(None, (again, version.reason)))
