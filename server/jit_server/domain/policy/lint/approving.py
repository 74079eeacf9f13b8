"""Whether those who have to approve or watch exist, can, and are somebody else than who asks (S8)."""

from __future__ import annotations

from collections.abc import Iterator

from jit_server.domain.policy.lint.rule import LintFinding, Path, Rule, Surroundings, listed
from jit_server.domain.policy.model import Role

NO_APPROVER = Rule(
    "no-approver",
    "Nobody could approve a request: too few of the approvers are people the server knows and has not disabled.",
    "name approvers whom jitctl users ls shows, or ask for fewer approvals",
)
OWN_APPROVER = Rule(
    "own-approver",
    "No one approves themselves: for these people too few others are left to approve.",
    "name more approvers than there have to be approvals",
)
NO_FACTOR = Rule(
    "approvers-without-mfa",
    "Without a second factor nobody can log in to approve.",
    "let the approvers enrol: jitctl users mfa-reset NAME gives a token",
)
UNWATCHABLE = Rule(
    "unwatchable",
    "A watched session begins only once an approver of the role or an administrator reads along, never who runs it.",
    "name more approvers, or leave watch out",
)
NEEDLESS = Rule(
    "needless-approvers",
    "Approvers are named, and no approval is asked for: somebody may believe that there is one.",
    "approvals: 1, or leave the approvers out",
)
RULES = (NO_APPROVER, OWN_APPROVER, NO_FACTOR, UNWATCHABLE, NEEDLESS)


def check(world: Surroundings) -> Iterator[LintFinding]:
    for role in world.roles:
        named = world.policy.named(role.approvers)
        able = world.able(named)
        if role.approvals:
            yield from _approvals(world, role, named, able)
        elif named and not role.watch_s and not role.flow:
            yield NEEDLESS.found(
                f"role {role.name} names approvers, and needs no approval", "approvers", role=role.name
            )
        if role.watch_s:
            yield from _watched(world, role, able)


def _approvals(world: Surroundings, role: Role, named: frozenset[str], able: frozenset[str]) -> Iterator[LintFinding]:
    asking = world.holders(role, active=False)
    if not asking:
        return
    path, inside = _where(role)
    needed = "1 approval" if role.approvals == 1 else f"{role.approvals} approvals"
    if len(able) < role.approvals:
        could = f"only {listed(able)}" if able else "nobody"
        why = _missing(world, named)
        message = f"role {role.name} needs {needed}, and {could} could give one{f': {why}' if why else ''}"
        yield _at(NO_APPROVER, message, role, path, inside)
        return
    if not any(world.people[name].mfa_enrolled for name in able):
        message = f"nobody who could approve role {role.name} has a second factor: {listed(able)}"
        yield _at(NO_FACTOR, message, role, path, inside)
    stuck = able & asking if len(able) == role.approvals else frozenset()
    if stuck:
        message = f"too few others could approve a request of {listed(stuck)}: no one approves themselves"
        yield _at(OWN_APPROVER, message, role, path, inside)


def _missing(world: Surroundings, named: frozenset[str]) -> str:
    groups: dict[str, list[str]] = {"unknown": [], "disabled": [], "a service": []}
    for name in named:
        user = world.people.get(name)
        if user is None:
            groups["unknown"].append(name)
        elif user.disabled:
            groups["disabled"].append(name)
        elif user.service:
            groups["a service"].append(name)
    return ", ".join(
        f"{listed(names)} {'is' if len(names) == 1 else 'are'} {what}" for what, names in groups.items() if names
    )


def _watched(world: Surroundings, role: Role, able: frozenset[str]) -> Iterator[LintFinding]:
    asking = world.holders(role)
    alone = asking if not able else asking & able if len(able) == 1 else frozenset()
    if alone:
        message = f"only an administrator could watch sessions of {listed(alone)}"
        yield UNWATCHABLE.found(message, "watch", role=role.name)


def _where(role: Role) -> tuple[Path, bool]:
    """Where the approvers stand, and whether that is in the role."""
    return (("flows", role.flow, "approvers"), False) if role.flow else (("approvers",), True)


def _at(rule: Rule, message: str, role: Role, path: Path, inside: bool) -> LintFinding:
    if inside:
        return rule.found(message, *path, role=role.name)
    return LintFinding(rule.name, rule.severity, message, rule.fix, role.name, path)
