"""What the policy files say, once they are read: roles, who is eligible for them and until when, and what is shared.

Nothing matches by default: a role reaches only the hosts whose labels it names and only the people it lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from jit_server.domain.ask import Commands
from jit_server.domain.grant import DEFAULT_RETAIN_S, Record
from jit_server.domain.identity import Host, User
from jit_server.domain.lock import Lock
from jit_server.domain.policy.conditions import Condition
from jit_server.domain.policy.expectation import Expectation
from jit_server.domain.policy.finding import Suppression
from jit_server.domain.policy.index import Index, IndexMemo

DEFAULT_REQUEST_TIMEOUT_S = 24 * 3600
ROOT_ACCOUNTS = frozenset({"root", "toor"})
"""The names that uid 0 goes by."""
ROOT_GROUPS = frozenset({"root", "sudo", "wheel", "docker", "lxd", "incus-admin", "libvirt", "disk", "kmem", "shadow"})
"""Whoever is in one can make themselves root."""


@dataclass(frozen=True, slots=True)
class LabelTest:
    """The label has one of the values or, `negated`, none of them; a host without the label never matches."""

    values: frozenset[str]
    negated: bool = False

    def holds(self, value: str | None) -> bool:
        return value is not None and (value in self.values) is not self.negated


@dataclass(frozen=True, slots=True)
class Selector:
    """Hosts that pass all of `labels`; no labels select no host, unless `all_hosts`."""

    labels: Mapping[str, LabelTest]
    all_hosts: bool = False

    def matches(self, host: Host) -> bool:
        return self.fits(host.labels)

    def fits(self, labels: Mapping[str, str]) -> bool:
        if self.all_hosts:
            return True
        return bool(self.labels) and all(test.holds(labels.get(key)) for key, test in self.labels.items())

    def __str__(self) -> str:
        """As it is written in a file, for messages."""
        if self.all_hosts:
            return "all hosts"
        return ", ".join(_written(key, test) for key, test in sorted(self.labels.items())) or "no host"


@dataclass(frozen=True, slots=True)
class Party:
    """People, by name and by group."""

    people: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Eligibility:
    """Who may ask, and for how long they may; µs UTC, `since` zero for always, `until` zero for permanently.

    `active`: the role is theirs without approval, reason and second factor, whenever they ask (an active assignment in
    the field's word); `reason` says why.
    """

    party: Party
    since: int = 0
    until: int = 0
    active: bool = False
    reason: str = ""

    def holds_at(self, at: int) -> bool:
        return self.since <= at and (self.until == 0 or at < self.until)


class Extend(StrEnum):
    """How a live grant of a role comes to last longer."""

    SELF = "self"
    """By the person alone, up to the role's maximum in all; past it like a new request."""
    APPROVAL = "approval"
    """Always like a new request."""
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Concurrency:
    """How many grants of a role may live at once, of one person and of everybody; zero: any number."""

    person: int = 0
    everybody: int = 0


@dataclass(frozen=True, slots=True)
class Role:
    """What may be done, where, by whom, and under which conditions; durations in seconds.

    `lease_s` zero: grants last until their end though the server is not heard (SPEC 2.6).  `watch_s` zero: sessions run
    unwatched; else they start watched, and one that nobody watches is frozen and killed after so long (SPEC 8.5).
    """

    name: str
    description: str
    hosts: Selector
    run_as_users: tuple[str, ...]
    run_as_groups: tuple[str, ...]
    commands: Commands
    shell: bool
    eligible: tuple[Eligibility, ...]
    approvers: Party
    approvals: int
    default_s: int
    max_s: int
    request_timeout_s: int = DEFAULT_REQUEST_TIMEOUT_S
    mfa: bool = True
    mfa_age_s: int = 0
    """A second factor that was proved on the same host so short ago will do; zero: a new code for each request."""
    reason: bool = True
    ticket: bool = False
    ticket_pattern: str = ""
    """What a ticket has to look like, as a whole (`jit_server.domain.pattern`); empty: anything."""
    record: Record = Record.OUTPUT
    extend: Extend = Extend.SELF
    lease_s: int = 0
    required: bool = True
    """No record, no command (S5)."""
    subcommands: bool = False
    watch_s: int = 0
    retain_s: int = DEFAULT_RETAIN_S
    directory: str = ""
    """Where commands run; empty: where the person is."""
    environment: tuple[str, ...] = ()
    """Variables of the person that commands see, beside those the host's sudo always passes."""
    when: tuple[Condition, ...] = ()
    concurrent: Concurrency = field(default_factory=Concurrency)
    once: bool = False
    """Every grant is for one sudo."""
    max_hosts: int = 1
    """How many hosts one request may name."""
    renew_s: int = 0
    """How much longer an eligibility lasts that is renewed; zero: it is not renewed but by a change of the policy."""
    flow: str = ""
    """The name of the approval flow that `approvers`, `approvals` and `request_timeout_s` come from; may be empty."""

    @property
    def terms(self) -> tuple[object, ...]:
        """What an approver relies on; a pending request does not outlive a change of it."""
        return (
            self.run_as_users,
            self.run_as_groups,
            self.commands,
            self.shell,
            self.approvals,
            self.mfa,
            self.mfa_age_s,
            self.reason,
            self.ticket,
            self.ticket_pattern,
            self.record,
            self.extend,
            self.lease_s,
            self.required,
            self.subcommands,
            self.watch_s,
            self.retain_s,
            self.directory,
            self.environment,
            self.when,
            self.once,
        )

    @property
    def gives_root(self) -> bool:
        """Whether it makes somebody root, if only for one command."""
        return not ROOT_ACCOUNTS.isdisjoint(self.run_as_users)


@dataclass(frozen=True, slots=True)
class Renewal:
    """An eligibility that was made to last longer: this person's, for that role, until then (µs UTC).

    It counts only beside the line of the files that it renews: the one that ends at `line_until` and names the person.
    """

    role: str
    user_id: str
    until: int
    line_until: int


@dataclass(frozen=True, slots=True)
class ChangeControl:
    """Who has to approve a change of the policy; `root_only`: only one by which somebody gains the right to be root.

    `approvals` zero: nobody has to.
    """

    approvers: Party = field(default_factory=Party)
    approvals: int = 0
    root_only: bool = True


@dataclass(frozen=True, slots=True)
class Policy:
    """All roles of one version, and what stands beside every version: the locks, and the renewals.

    `groups` holds everybody who is in a group, through groups within it too.  Version 0 is the policy before the first,
    which allows nothing.
    """

    version: int
    groups: Mapping[str, frozenset[str]]
    roles: Mapping[str, Role]
    changes: ChangeControl = field(default_factory=ChangeControl)
    tests: tuple[Expectation, ...] = ()
    suppressions: tuple[Suppression, ...] = ()
    locks: tuple[Lock, ...] = ()
    renewals: tuple[Renewal, ...] = ()
    memo: IndexMemo = field(default_factory=IndexMemo, compare=False, repr=False)

    @property
    def index(self) -> Index:
        """Groups and roles by person."""
        return self.memo.index(self.groups, self.roles)

    def roles_of(self, user: User) -> tuple[Role, ...]:
        """The roles the person was, is or will be eligible for, by name."""
        return tuple(self.roles[name] for name in sorted(self.index.eligible(user.name)))

    def includes(self, party: Party, user: User) -> bool:
        if user.name in party.people:
            return True
        return any(user.name in self.groups.get(group, frozenset()) for group in party.groups)

    def named(self, party: Party) -> frozenset[str]:
        """The names of all people of a party, whether the server knows them or not."""
        return party.people.union(*(self.groups.get(group, frozenset()) for group in party.groups))

    def eligibility(self, role: Role, user: User, at: int) -> Eligibility | None:
        """By what the person may ask for the role then: an active one before others, and of several the longest."""
        mine = [one for one in self.eligibilities(role, user) if one.holds_at(at)]
        return max(mine, key=lambda one: (one.active, one.until == 0, one.until), default=None)

    def eligibilities(self, role: Role, user: User) -> tuple[Eligibility, ...]:
        """All of the person's for the role, past and future ones too; a renewed one lasts as long as it was renewed.

        A service has only active ones: nobody could ask, or show a second factor, for it.
        """
        mine = [one for one in role.eligible if (one.active or not user.service) and self.includes(one.party, user)]
        if not mine:
            return ()
        ends = {one.until for one in mine if not one.active}
        renewed = [
            Eligibility(Party(people=frozenset({user.name})), until=renewal.until)
            for renewal in self.renewals
            if renewal.role == role.name and renewal.user_id == user.user_id and renewal.line_until in ends
        ]
        return (*mine, *renewed)

    def groups_of(self, user: User) -> tuple[str, ...]:
        return self.index.groups(user.name)

    def approver_of(self, user: User) -> frozenset[str]:
        """The roles this person may decide on; none for a disabled person or a service."""
        return frozenset() if user.disabled or user.service else self.index.approves(user.name)


NO_POLICY = Policy(0, {}, {})


def _written(key: str, test: LabelTest) -> str:
    values = "|".join(sorted(test.values))
    return f"{key}!={values}" if test.negated else f"{key}={values}"
