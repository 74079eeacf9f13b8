"""Findings that the files themselves call known and right, for a time (SPEC 9.6)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from jit_server.domain.policy.finding import Finding, Severity, Suppression
from jit_server.domain.policy.lint.rule import Rule
from jit_server.domain.span import instant

OVER = Rule(
    "suppression-over",
    "The time for which a finding was called right is past, and it is told again.",
    "look at it again: mend it, or give the suppression a later end",
)
NEEDLESS = Rule(
    "suppression-unused",
    "The suppression hides nothing: what it was for was mended, or its rule is not called so.",
    "remove it",
)
RULES = (OVER, NEEDLESS)


@dataclass(frozen=True, slots=True)
class Sifted:
    """What is to be told, and what the files hide."""

    findings: tuple[Finding, ...]
    suppressed: tuple[Finding, ...] = ()


def sift(findings: Iterable[Finding], suppressions: Sequence[Suppression], rules: Collection[str], now: int) -> Sifted:
    """Take out what is suppressed, and say which suppressions are over or hide nothing.  Errors are never hidden."""
    standing = {(one.rule, one.role): one for one in suppressions if now < one.until}
    used: set[tuple[str, str]] = set()
    told, hidden = [], []
    for finding in findings:
        key = finding.rule, finding.role
        if finding.severity is Severity.ERROR or key not in standing:
            told.append(finding)
        else:
            used.add(key)
            why = f"{finding.message} (suppressed until {instant(standing[key].until)}: {standing[key].reason})"
            hidden.append(replace(finding, message=why))
    for one in suppressions:
        if one.until <= now:
            message = f"what {one.rule} says of role {one.role} was suppressed until {instant(one.until)}"
            told.append(_about(one, OVER, message))
        elif one.rule not in rules:
            told.append(_about(one, NEEDLESS, f"there is no rule {one.rule}"))
        elif (one.rule, one.role) not in used:
            told.append(_about(one, NEEDLESS, f"nothing is hidden: {one.rule} says nothing of role {one.role}"))
    return Sifted(tuple(told), tuple(hidden))


def _about(one: Suppression, rule: Rule, message: str) -> Finding:
    spot = one.spot
    return Finding(spot.file, spot.line, spot.column, rule.severity, message, rule.name, rule.fix, one.role)
