"""The lint of policy files with what the server knows: who there is, which hosts, and what was used (SPEC 9.6)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from jit_server.domain.identity import Host, User
from jit_server.domain.policy.finding import Finding, PolicyFile, Severity, Spot
from jit_server.domain.policy.lint import RULE_NAMES, UNUSED_US, LintFinding, Sifted, Usage, lint, sift
from jit_server.domain.policy.model import Policy
from jit_server.ports import ParsedPolicy, Places
from jit_server.services.policy_book import PolicyBook
from jit_server.store import Transaction

MAX_TOLD = 1_000
"""Warnings that are told one by one."""


async def usage(tx: Transaction, book: PolicyBook, now: int) -> Usage:
    """Collect which roles were used, and what stood in the policy long enough to be called unused."""
    then = now - UNUSED_US
    version = await tx.policies.version_at(then)
    before = None if version == 0 else await book.former(tx, version)
    return Usage(await tx.grants.last_begun(then), before)


def linted(
    policy: Policy,
    parsed: ParsedPolicy,
    files: Sequence[PolicyFile],
    *,
    people: Collection[User],
    hosts: Collection[Host],
    used: Usage,
    now: int,
) -> Sifted:
    """All there is to say of files without an error, in their order, and what they call known and right."""
    found = lint(policy, people=people, hosts=hosts, usage=used, now=now, unused=parsed.unused)
    told = [*parsed.findings, *(_placed(one, parsed.places, files[0].name) for one in found)]
    sifted = sift(told, policy.suppressions, RULE_NAMES, now)
    order = {file.name: number for number, file in reversed(list(enumerate(files)))}
    return Sifted(_ordered(sifted.findings, order), _ordered(sifted.suppressed, order))


def _placed(found: LintFinding, places: Places | None, first: str) -> Finding:
    """With the place it is about; the first file for what is written nowhere, such as a section left out."""
    spot = Spot("", 0, 0) if places is None else places.spot(*found.path)
    if not spot.file:
        spot = Spot(first, 0, 0)
    return Finding(spot.file, spot.line, spot.column, found.severity, found.message, found.rule, found.fix, found.role)


def _ordered(findings: Collection[Finding], order: dict[str, int]) -> tuple[Finding, ...]:
    """Errors are never among those that are left out."""
    ordered = sorted(findings, key=lambda one: (order.get(one.file, len(order)), one.line, one.column))
    left_out = [one for one in ordered if one.severity is not Severity.ERROR][MAX_TOLD:]
    if not left_out:
        return tuple(ordered)
    silent = set(map(id, left_out))
    more = Finding("", 0, 0, Severity.WARNING, f"and {len(left_out)} more, which are not told one by one")
    return (*(one for one in ordered if id(one) not in silent), more)
