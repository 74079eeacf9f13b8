"""What the policy answers, in words: each rule that was considered, and who can do what where."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from . import times
from .describe_policy import names
from .policy_model import Capability, CommandVerdict, Eligibility, Explanation, RoleExplanation

When = Callable[[datetime | None], str]


def explanation(found: Explanation) -> Iterator[str]:
    """The verdict first; then each role with its checks, those that failed with what would make them pass."""
    yield found.verdict
    for role in found.roles:
        yield ""
        yield from _role(role)


def _role(role: RoleExplanation) -> Iterator[str]:
    yield f"role {role.role}: {'yes' if role.allowed else 'no'}"
    for check in role.checks:
        yield f"    {'pass' if check.passed else 'FAIL'}  {check.rule}: {check.why}"
        if check.hint:
            yield f"          {check.hint}"
    if role.allowed:
        yield f"    needs {', '.join([*role.needs, approval(role.approvals, role.approvers)])}"


def approval(count: int, approvers: tuple[str, ...]) -> str:
    """`1 approval of bob, carol`, or that there is no need for one."""
    if not count:
        return "no approval"
    noun = "1 approval" if count == 1 else f"{count} approvals"
    return f"{noun} of {names(approvers, len(approvers)) or 'nobody'}"


def commands(capability: Capability) -> str:
    return "; ".join(capability.commands) or "(the server did not say)"


def where(capability: Capability) -> str:
    return names(capability.hosts, capability.hosts_count) or "nowhere"


def through(groups: tuple[str, ...]) -> str:
    """How somebody comes to a role."""
    return f"group {', '.join(groups)}" if groups else "by name"


def terms(capability: Capability) -> str:
    """Under what it may be had: whose yes, a code, for how long, and the conditions."""
    if capability.kind == "active":
        parts = ["always, without asking"]
    else:
        parts = [approval(capability.approvals, capability.approvers)]
        parts.append("a code" if capability.mfa else "no code")
    if capability.max_s:
        parts.append(f"at most {times.duration(capability.max_s)}")
    return "; ".join([*parts, *capability.when])


def command_verdict(verdict: CommandVerdict) -> Iterator[str]:
    answer = "yes" if verdict.allowed else "no"
    yield f"{answer}: {verdict.why}" if verdict.why else answer
    if verdict.by:
        yield f"{'by' if verdict.allowed else 'nearest'}: {verdict.by}"
    if verdict.sudoers:
        yield f"in sudoers: {verdict.sudoers}"


def renewable(eligibility: Eligibility) -> str:
    """Whether it can be had for longer, and for how long."""
    return f"for {times.duration(eligibility.renewable_s)}" if eligibility.renewable_s else ""


def until(eligibility: Eligibility, when: When) -> str:
    if eligibility.until is None:
        return "permanent"
    return f"{when(eligibility.until)}{', renewed' if eligibility.renewed else ''}"
