"""Who is eligible: for ever, no more, or without ever using it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from jit_server.domain.policy.lint.rule import DAY_US, UNUSED_US, LintFinding, Path, Rule, Surroundings, listed
from jit_server.domain.policy.model import Eligibility, Policy, Role
from jit_server.domain.span import instant

FAR_US = 366 * DAY_US

NOBODY = Rule(
    "nobody-eligible",
    "The role gives nothing to anybody.",
    "name who is eligible, or remove the role",
)
PERMANENT = Rule(
    "permanent-eligibility",
    "A right without an end is never looked at again, and outlives the work it was for.",
    "until: DATE, with renew: 180d so that it can be renewed",
)
FAR = Rule(
    "far-eligibility",
    "A right that ends in more than a year is not looked at before.",
    "until: a date within a year, with renew: 180d",
)
OVER = Rule(
    "eligibility-over",
    "The line has ended and was not renewed: it gives nothing, and hides what is in force.",
    "remove the line, or give it a later end",
)
UNUSED = Rule(
    "unused-role",
    "Nobody was granted the role in 90 days: it is a way in that nobody would miss.",
    "remove the role, or suppress this until it is needed",
)
UNUSED_BY = Rule(
    "unused-eligibility",
    "These people have been eligible for 90 days and more without a grant of it.",
    "take them out of the role",
)
SERVICE = Rule(
    "service-not-active",
    "An account of a service cannot ask: it has only what is active.",
    "name it under active, with a reason",
)
USELESS_RENEWAL = Rule(
    "useless-renewal",
    "No eligibility of the role has an end, so there is nothing to renew.",
    "until: DATE, or leave renew out",
)
NO_ROLES = Rule(
    "no-roles",
    "Nobody can be granted anything.",
    "write a role",
)
RULES = (NOBODY, PERMANENT, FAR, OVER, UNUSED, UNUSED_BY, SERVICE, USELESS_RENEWAL, NO_ROLES)


def check(world: Surroundings) -> Iterator[LintFinding]:
    if not world.policy.roles:
        yield NO_ROLES.found("no roles: nobody can be granted anything")
    people = world.people.values()
    services = frozenset(user.name for user in people if user.service)
    enabled = frozenset(user.name for user in people if not user.disabled)
    lately = _lately(world)
    for role in world.roles:
        yield from _lines(world, role, services)
        if role.renew_s and not any(one.until for one in role.eligible if not one.active):
            yield USELESS_RENEWAL.found("renew: no eligibility of this role has an end", "renew", role=role.name)
        yield from _usage(world, role, enabled, lately.get(role.name, frozenset()))


def _lines(world: Surroundings, role: Role, services: frozenset[str]) -> Iterator[LintFinding]:
    name = role.name
    if not any(world.policy.named(one.party) for one in role.eligible):
        yield NOBODY.found(f"nobody is eligible for role {name}", "eligible", role=name)
        return
    for path, one in _numbered(role):
        if one.until == 0:
            kind = "active" if one.active else "eligible"
            yield PERMANENT.found(f"role {name}: {kind} without an end: {_who(one)}", *path, "permanent", role=name)
        elif one.until > world.now + FAR_US:
            yield FAR.found(f"role {name}: eligible until {instant(one.until)}: {_who(one)}", *path, "until", role=name)
        elif one.until <= world.now and not world.renewed(role, one):
            message = f"role {name}: over since {instant(one.until)}: {_who(one)}"
            yield OVER.found(message, *path, "until", role=name)
    useless = (services & world.holders(role, active=False)) - world.holders(role, active=True)
    if useless:
        yield SERVICE.found(f"role {name}: {listed(useless)} cannot ask for it", "eligible", role=name)


def _lately(world: Surroundings) -> Mapping[str, frozenset[str]]:
    """By role the names of the people who were granted it in the last 90 days."""
    names = {user.user_id: name for name, user in world.people.items()}
    found: dict[str, set[str]] = defaultdict(set)
    for (role, user_id), at in world.usage.last.items():
        if at >= world.now - UNUSED_US:
            found[role].add(names.get(user_id, user_id))
    return {role: frozenset(users) for role, users in found.items()}


def _usage(world: Surroundings, role: Role, enabled: frozenset[str], users: frozenset[str]) -> Iterator[LintFinding]:
    before = world.usage.before
    former = None if before is None else before.roles.get(role.name)
    if before is None or former is None:
        return
    able = enabled & _held(before, former, world.now - UNUSED_US) & _held(world.policy, role, world.now)
    idle = able - users
    if not idle:
        return
    if not users:
        yield UNUSED.found(f"nobody was granted role {role.name} in 90 days", role=role.name)
        return
    message = f"role {role.name}: not used in 90 days by {listed(idle)}, of {len(able)} who were eligible all along"
    yield UNUSED_BY.found(message, "eligible", role=role.name)


def _held(policy: Policy, role: Role, at: int) -> frozenset[str]:
    return frozenset().union(*(policy.named(one.party) for one in role.eligible if one.holds_at(at)))


def _numbered(role: Role) -> Iterator[tuple[Path, Eligibility]]:
    """Each line after the path at which it stands in the role."""
    numbers = {"eligible": 0, "active": 0}
    for one in role.eligible:
        key = "active" if one.active else "eligible"
        yield (key, numbers[key]), one
        numbers[key] += 1


def _who(one: Eligibility) -> str:
    return listed([*one.party.people, *(f"group {name}" for name in one.party.groups)], 3) or "nobody"
