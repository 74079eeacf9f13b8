"""Fakes of the server's ports, and plain values of its domain.

What a fake may do is what the port's docstrings say; the store is never faked, tests use a real SQLite file.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from jit_server.domain.ask import ALL, Ask, Commands
from jit_server.domain.grant import Grant, Record
from jit_server.domain.identity import Duty, Host, LocalUser, User
from jit_server.domain.lifecycle import GrantState, RequestState
from jit_server.domain.lock import Lock, LockKind
from jit_server.domain.policy.circumstances import Circumstances, Login, LoginKind
from jit_server.domain.policy.decision import Case
from jit_server.domain.policy.finding import Finding, PolicyFile, Severity
from jit_server.domain.policy.model import Eligibility, Extend, LabelTest, Party, Policy, Role, Selector
from jit_server.domain.request import AccessRequest
from jit_server.domain.session import Session, SessionState
from jit_server.domain.suggestion import Proposed
from jit_server.errors import Invalid, NotFound, Unauthenticated, Unavailable
from jit_server.ports import IssuedCertificate, OnDuty, ParsedPolicy

SECOND = 1_000_000
START = 1_790_000_000 * SECOND
BOOT = "6f9c1d3e-0c0a-4f53-9a0e-0a2f1f6c7a01"
OTHER_BOOT = "6f9c1d3e-0c0a-4f53-9a0e-0a2f1f6c7a02"
PASSWORD = "correct horse"
A_LOGIN = Login(LoginKind.CONSOLE, terminal=True)


class FakeClock:
    """Stands still until told to go on."""

    def __init__(self, now: int = START) -> None:
        self._now = now

    def now(self) -> int:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += int(seconds * SECOND)


class FakeSigner:
    """Puts a recognisable 72 bytes where key id and signature belong."""

    def sign(self, message: bytes) -> bytes:
        return b"K" * 8 + b"S" * 64 + message

    def public_keys(self) -> Sequence[bytes]:
        return (b"P" * 32,)


class FakeAuthority:
    """Issues text; the text `bad` is no certificate request."""

    def issue_host(self, untrusted_csr: str, host_id: str, now: int) -> IssuedCertificate:
        return self._issue(untrusted_csr, host_id, now + 7 * 86_400 * SECOND)

    def issue_user(self, untrusted_csr: str, user_id: str, now: int) -> IssuedCertificate:
        return self._issue(untrusted_csr, user_id, now + 12 * 3_600 * SECOND)

    def certificate(self) -> str:
        return "CA"

    def fingerprint(self) -> str:
        return "sha256:" + "0" * 64

    def _issue(self, untrusted_csr: str, subject: str, expires_at: int) -> IssuedCertificate:
        if untrusted_csr == "bad":
            raise Invalid("not a certificate request")
        return IssuedCertificate(f"certificate of {subject}", expires_at)


@dataclass(slots=True)
class FakePasswordChecker:
    """Everybody's password is `PASSWORD`; remembers for which accounts it was asked."""

    asked: list[str] = field(default_factory=list)

    async def check(self, account: str, password: str) -> None:
        self.asked.append(account)
        if password != PASSWORD:
            raise Unauthenticated("no")


class PlainSecretBox:
    """Hides nothing, but opens only what was sealed for the same context."""

    def seal(self, secret: bytes, context: str) -> bytes:
        return hashlib.sha256(context.encode()).digest() + secret

    def open(self, sealed: bytes, context: str) -> bytes:
        if sealed[:32] != hashlib.sha256(context.encode()).digest():
            raise Unavailable("sealed for something else")
        return sealed[32:]


class FakePolicyParser:
    """A file's text is the name of a policy it was given; any other text is an error on line 1."""

    def __init__(self) -> None:
        self._known: dict[str, Policy] = {}

    def learn(self, policy: Policy) -> tuple[PolicyFile, ...]:
        """Return files that mean this policy."""
        text = f"policy {len(self._known)}"
        self._known[text] = policy
        return (PolicyFile("policy.yaml", text),)

    def parse(self, untrusted_files: Sequence[PolicyFile], version: int, people: Collection[User]) -> ParsedPolicy:
        policy = self._known.get(untrusted_files[0].text)
        if policy is None:
            finding = Finding(untrusted_files[0].name, 1, 1, Severity.ERROR, "not a policy")
            return ParsedPolicy(None, (finding,))
        return ParsedPolicy(replace(policy, version=version), ())

    def proposal(
        self, files: Sequence[PolicyFile], role: str, commands: Sequence[Proposed], heading: Sequence[str]
    ) -> str:
        return "\n".join([*heading, role, *(str(proposed.command) for proposed in commands)])


@dataclass(slots=True)
class FakeAccounts:
    """By host id, whom a host answers for any account; None: nobody.  A host that is not here is not connected."""

    answers: dict[str, LocalUser | None] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)

    async def of(self, host_id: str, account: str) -> LocalUser | None:
        self.asked.append((host_id, account))
        if host_id not in self.answers:
            raise Unavailable("it is not connected")
        return self.answers[host_id]


@dataclass(slots=True)
class FakeOnCall:
    """`rotas` as they are now; one that is None cannot be asked."""

    rotas: dict[str, set[str] | None] = field(default_factory=dict)

    def of(self, name: str) -> OnDuty:
        heard = {rota: people for rota, people in self.rotas.items() if people is not None}
        return OnDuty(frozenset(rota for rota, people in heard.items() if name in people), frozenset(heard))


@dataclass(slots=True)
class FakeObjects:
    """Contents in memory, by digest; what was put and when can be seen, and changed as a disk would.

    While `open` is cleared puts wait, as on a slow disk, and `asked` is set; with `full` they fail.
    """

    clock: FakeClock
    contents: dict[str, bytes] = field(default_factory=dict)
    put_at: dict[str, int] = field(default_factory=dict)
    full: bool = False
    open: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.open.set()

    async def put(self, content: bytes) -> str:
        self.asked.set()
        await self.open.wait()
        if self.full:
            raise Unavailable("there is no room for recordings")
        digest = hashlib.sha256(content).hexdigest()
        self.contents[digest] = content
        self.put_at[digest] = self.clock.now()
        return digest

    async def get(self, digest: str) -> bytes:
        if digest not in self.contents:
            raise NotFound("no such object")
        return self.contents[digest]

    async def delete(self, digest: str, *, put_before: int) -> bool:
        if digest in self.contents and self.put_at[digest] < put_before:
            del self.contents[digest], self.put_at[digest]
        return digest not in self.contents

    async def listed(self, beginning: str, *, put_before: int) -> Sequence[str]:
        return [digest for digest, at in self.put_at.items() if digest.startswith(beginning) and at < put_before]

    def flip(self, digest: str) -> None:
        """One bit of the content changes."""
        content = bytearray(self.contents[digest])
        content[len(content) // 2] ^= 1
        self.contents[digest] = bytes(content)


_numbers = itertools.count(1)


def an_id(kind: str) -> str:
    """A fresh id; ids made later sort later."""
    return f"{kind}-{next(_numbers):016d}"


def a_user(name: str = "alice", *, account: str = "", duties: Collection[Duty] = (), disabled: bool = False) -> User:
    return User(an_id("usr"), name, account or name, frozenset(duties), created_at=START, disabled=disabled)


def a_host(name: str = "web1", *, removed: bool = False, **labels: str) -> Host:
    return Host(an_id("hst"), name, labels or {"tier": "web"}, enrolled_at=START, removed=removed)


def labelled(**labels: str) -> Selector:
    """The hosts that have all of these labels."""
    return Selector({key: LabelTest(frozenset({value})) for key, value in labels.items()})


def people_for_good(*names: str, groups: Collection[str] = ()) -> tuple[Eligibility, ...]:
    """These people, and those of the groups, are eligible without an end."""
    return (Eligibility(Party(frozenset(names), frozenset(groups))),)


def a_role(
    name: str = "web",
    *,
    commands: Commands = ALL,
    shell: bool = False,
    hosts: Selector | None = None,
    eligible: Collection[str] = ("alice",),
    approvers: Collection[str] = ("carol",),
    approvals: int = 1,
    max_s: int = 7_200,
    mfa: bool = False,
    reason: bool = False,
    ticket: bool = False,
    run_as_groups: tuple[str, ...] = (),
    extend: Extend = Extend.SELF,
    lease_s: int = 0,
    record: Record = Record.EVENTS,
    watch_s: int = 0,
) -> Role:
    return Role(
        name=name,
        description="",
        hosts=hosts or labelled(tier="web"),
        run_as_users=("root", "www-data"),
        run_as_groups=run_as_groups,
        commands=commands,
        shell=shell,
        eligible=people_for_good(*eligible),
        approvers=Party(people=frozenset(approvers)),
        approvals=approvals,
        default_s=min(1_800, max_s),
        max_s=max_s,
        mfa=mfa,
        reason=reason,
        ticket=ticket,
        extend=extend,
        lease_s=lease_s,
        record=record,
        watch_s=watch_s,
    )


def a_policy(*roles: Role, version: int = 1, **groups: Collection[str]) -> Policy:
    return Policy(version, {name: frozenset(who) for name, who in groups.items()}, {role.name: role for role in roles})


def a_case(
    policy: Policy,
    role: Role,
    person: User,
    host: Host,
    ask: Ask | None,
    *,
    people: Collection[User],
    circumstances: Circumstances | None = None,
) -> Case:
    """One ask as the policy weighs it; at `START` unless told otherwise."""
    return Case(policy, role, person, host, ask, people, circumstances or Circumstances(at=START, login=A_LOGIN))


def an_ask(*argv: str) -> Ask:
    return Ask(argv=argv or ("/usr/bin/id",))


def a_lock(
    by: User,
    *,
    kind: LockKind = LockKind.USER,
    target: str = "alice",
    reason: str = "stolen laptop",
    expires_at: int = 0,
) -> Lock:
    return Lock(an_id("lck"), kind, target, reason, by.name, by.user_id, created_at=START, expires_at=expires_at)


def a_session(
    host: Host,
    *,
    state: SessionState = SessionState.RUNNING,
    user: User | None = None,
    role: str = "web",
    argv: tuple[str, ...] = ("/usr/bin/id",),
    began_at: int = START,
) -> Session:
    return Session(
        session_id=an_id("ses"),
        host_id=host.host_id,
        host=host.name,
        began_at=began_at,
        state=state,
        user_id=user.user_id if user else "",
        user=user.name if user else "mallory (uid 1009)",
        role=role,
        argv=argv,
    )


def a_request(
    user: User, host: Host, *, state: RequestState = RequestState.PENDING, role: str = "web", created_at: int = START
) -> AccessRequest:
    return AccessRequest(
        request_id=an_id("req"),
        user_id=user.user_id,
        host_id=host.host_id,
        local_user=LocalUser(1001, user.account),
        role=role,
        ask=an_ask(),
        reason="because",
        ticket="",
        duration_s=600,
        state=state,
        created_at=created_at,
        lapses_at=created_at + 3_600 * SECOND,
        approvals_needed=1,
        role_commands=("ALL",),
        mfa_passed=True,
    )


def a_grant(request: AccessRequest, *, state: GrantState = GrantState.ISSUED, commands: Commands = ALL) -> Grant:
    return Grant(
        grant_id=an_id("gnt"),
        request_id=request.request_id,
        user_id=request.user_id,
        host_id=request.host_id,
        role=request.role,
        local_user=request.local_user,
        run_as_user="root",
        run_as_group="",
        commands=commands,
        shell=False,
        record=Record.EVENTS,
        state=state,
        not_before=START,
        not_after=START + 600 * SECOND,
        reason=request.reason,
        approved_by=(),
        term_s=600,
    )
