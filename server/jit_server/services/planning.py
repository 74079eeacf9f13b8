"""Which roles fit an ask on a host, and why the others do not."""

from __future__ import annotations

from datetime import UTC, datetime

from jit_server.domain.ask import Ask, describe
from jit_server.domain.identity import Host, User
from jit_server.domain.policy.decision import Allowed, Refused, evaluate, locked
from jit_server.domain.policy.model import Policy
from jit_server.services.demands import is_fresh
from jit_server.services.views import Choice, Plan
from jit_server.services.weighing import Moment, Scales
from jit_server.store import Transaction


def unfit(host: Host, now: int) -> Refused | None:
    """Say why this host gets no new grants and no extensions, or None if it does."""
    if host.clock_is_off:
        return Refused(
            "",
            f"{host.name} cannot take grants: its clock says {_instant(now + host.clock_skew_us)}, "
            f"the server's {_instant(now)}",
            f"set the clock of {host.name} right (timedatectl shows whether it is synchronised)",
        )
    if host.problems:
        return Refused("", f"{host.name} cannot take grants: {host.problems[0]}", "run jit doctor on the host")
    return None


async def plan(
    tx: Transaction,
    scales: Scales,
    policy: Policy,
    person: User,
    host: Host,
    *,
    ask: Ask | None,
    wanted: str,
    moment: Moment,
) -> Plan:
    """Weigh every role of the person on this host, or only the one that is wanted.

    Reasons are given only for roles the person is eligible for, or named.  A host that cannot enforce fits nothing.
    """
    cannot = unfit(host, moment.at)
    if cannot is not None:
        return Plan((), (cannot,), person.mfa_enrolled)
    lock = locked(policy, person, host)
    if lock is not None:
        return Plan((), (lock,), person.mfa_enrolled)
    if wanted and wanted not in policy.roles:
        return Plan((), (_unknown_role(wanted),), person.mfa_enrolled)
    choices: list[Choice] = []
    refusals: list[Refused] = []
    mine = (role for role in policy.roles_of(person) if role.hosts.matches(host))
    roles = (policy.roles[wanted],) if wanted else tuple(mine)
    cases = await scales.cases(tx, policy, roles, person=person, host=host, moment=moment)
    for role in roles:
        match evaluate(cases.of(role, ask)):
            case Allowed() as allowed:
                choices.append(_choice(allowed, is_fresh(role, cases.common.proved_at, moment.at)))
            case refused:
                refusals.append(refused)
    if not choices and not refusals:
        refusals.append(
            Refused("", f"no role lets {person.name} do anything on {host.name}", "ask an administrator for a role")
        )
    return Plan(tuple(choices), tuple(refusals), person.mfa_enrolled)


def _choice(allowed: Allowed, fresh: bool) -> Choice:
    role = allowed.role
    approvers = () if allowed.active else tuple(approver.name for approver in allowed.approvers)
    return Choice(role, approvers, describe(role.commands), allowed.until, allowed.active, mfa_fresh=fresh)


def _unknown_role(untrusted_name: str) -> Refused:
    return Refused("", f"there is no role {untrusted_name[:128]!a}", "jit ls shows what you may ask for")


def _instant(at: int) -> str:
    return f"{datetime.fromtimestamp(at // 1_000_000, UTC):%Y-%m-%d %H:%M:%S} UTC"
