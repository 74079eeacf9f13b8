"""The domain's policy out of files in which nothing is wrong, names replaced by what they stand for."""

from __future__ import annotations

from jit_server.adapters.policy_yaml import when
from jit_server.adapters.policy_yaml.commands import BundleShape, CommandShape, plain
from jit_server.adapters.policy_yaml.contents import Contents
from jit_server.adapters.policy_yaml.labels import ALL_HOSTS
from jit_server.adapters.policy_yaml.membership import Membership
from jit_server.adapters.policy_yaml.people import Approval, PartyShape
from jit_server.adapters.policy_yaml.role import REQUIRED, MfaShape, RoleShape, TicketShape
from jit_server.adapters.policy_yaml.sections import ROOT
from jit_server.domain.ask import ALL, Command, Commands
from jit_server.domain.grant import Record
from jit_server.domain.policy.model import (
    DEFAULT_REQUEST_TIMEOUT_S,
    ChangeControl,
    Concurrency,
    Extend,
    Policy,
    Role,
    Selector,
)


def policy_of(contents: Contents, membership: Membership, version: int) -> Policy:
    """The policy; every name in it has to be defined."""
    roles = {name: _role(contents, name, entry.shape) for name, entry in contents.roles.items() if entry.shape}
    changes = contents.changes.shape if contents.changes is not None else None
    tests = (entry.shape.as_expectation(entry.place.spot()) for entry in contents.tests if entry.shape)
    suppressed = (entry.shape.as_suppression(entry.place.spot()) for entry in contents.suppress if entry.shape)
    control = ChangeControl()
    if changes is not None:
        control = ChangeControl(changes.approvers.as_party(), changes.approvals, changes.what == ROOT)
    return Policy(version, membership.members, roles, control, tuple(tests), tuple(suppressed))


def approval_of(contents: Contents, role: RoleShape) -> Approval:
    """Who approves requests for the role: what its flow says, or the role itself."""
    if role.flow is not None:
        entry = contents.flows.get(role.flow)
        return entry.shape.as_approval() if entry is not None and entry.shape is not None else Approval(PartyShape())
    return Approval(
        role.approvers or PartyShape(),
        1 if role.approvals is None else role.approvals,
        DEFAULT_REQUEST_TIMEOUT_S if role.request_timeout is None else role.request_timeout,
    )


def commands_of(contents: Contents, role: RoleShape) -> Commands:
    """The role's commands with those of its bundles, each once."""
    if isinstance(role.commands, str):
        return ALL
    found: dict[Command, None] = {}
    for entry in role.commands:
        if isinstance(entry, BundleShape):
            bundle = contents.commands.get(entry.bundle)
            found.update(dict.fromkeys(map(plain, bundle.shape if bundle is not None and bundle.shape else ())))
        elif isinstance(entry, Command | CommandShape):
            found[plain(entry)] = None
    return tuple(found)


def _hosts(contents: Contents, role: RoleShape) -> Selector:
    if role.hosts == ALL_HOSTS:
        return Selector({}, all_hosts=True)
    if isinstance(role.hosts, str):
        return Selector(contents.hosts[role.hosts].shape or {})
    return Selector(role.hosts)


def _role(contents: Contents, name: str, shape: RoleShape) -> Role:
    approval = approval_of(contents, shape)
    limits = shape.concurrent
    return Role(
        name=name,
        description=shape.description,
        hosts=_hosts(contents, shape),
        run_as_users=tuple(shape.run_as),
        run_as_groups=tuple(shape.run_as_groups),
        commands=commands_of(contents, shape),
        shell=shape.shell,
        eligible=tuple(entry.as_eligibility() for _, entry in shape.eligibilities),
        approvers=approval.approvers.as_party(),
        approvals=approval.approvals,
        default_s=shape.duration.default,
        max_s=shape.duration.max,
        request_timeout_s=approval.request_timeout_s,
        mfa=shape.mfa is not False,
        mfa_age_s=shape.mfa.age if isinstance(shape.mfa, MfaShape) else 0,
        reason=shape.reason,
        ticket=shape.ticket is not False,
        ticket_pattern=shape.ticket.pattern if isinstance(shape.ticket, TicketShape) else "",
        record=Record(shape.record),
        extend=Extend(shape.extend),
        lease_s=shape.lease_s,
        required=shape.recording == REQUIRED,
        subcommands=shape.subcommands,
        watch_s=shape.watch,
        retain_s=shape.retain,
        directory=shape.directory,
        environment=tuple(sorted(set(shape.environment))),
        when=when.conditions(shape.when),
        concurrent=Concurrency((limits.person or 0) if limits else 0, (limits.everybody or 0) if limits else 0),
        once=shape.once,
        max_hosts=shape.max_hosts,
        renew_s=shape.renew,
        flow=shape.flow or "",
    )
