"""The server's services over a real SQLite file and fakes of everything else, with a few people and a host."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

import pyotp

from jit_server.adapters.changes import InProcessChanges
from jit_server.adapters.sql import SqlStore
from jit_server.adapters.totp import PyotpTotp
from jit_server.domain.events import Query, RecordedEvent
from jit_server.domain.grant import DOMAIN_TAG, Grant, Record
from jit_server.domain.identity import Duty, HostCaller, LocalUser, Person
from jit_server.domain.lifecycle import GrantState
from jit_server.domain.policy.model import Role
from jit_server.domain.report import (
    Applied,
    Ended,
    Hello,
    Report,
    ReportBody,
    SessionEnded,
    SessionStarted,
    SessionWaiting,
)
from jit_server.domain.session import Session
from jit_server.services import Ports, Services, compose
from jit_server.services.extending import NewExtension
from jit_server.services.filing import NewRequest
from jit_server.services.views import RequestView
from jit_testing.server_fakes import (
    BOOT,
    FakeAccounts,
    FakeAuthority,
    FakeClock,
    FakeObjects,
    FakeOnCall,
    FakePasswordChecker,
    FakePolicyParser,
    FakeSigner,
    PlainSecretBox,
    a_policy,
    an_ask,
    an_id,
)

SPOOL = "spool-1"


@dataclass(slots=True)
class CoreWorld:
    """`root` is an administrator; `person` and `host` make more, as an administrator would."""

    store: SqlStore
    changes: InProcessChanges
    clock: FakeClock = field(default_factory=FakeClock)
    parser: FakePolicyParser = field(default_factory=FakePolicyParser)
    passwords: FakePasswordChecker = field(default_factory=FakePasswordChecker)
    on_call: FakeOnCall = field(default_factory=FakeOnCall)
    accounts: FakeAccounts = field(default_factory=FakeAccounts)
    objects: FakeObjects = field(init=False)
    services: Services = field(init=False)
    root: Person = field(init=False)
    _uids: dict[str, int] = field(default_factory=dict)
    _reported: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.objects = FakeObjects(self.clock)
        self.services = self.compose()

    def compose(self) -> Services:
        """The services anew, as after a restart of the server."""
        return compose(
            Ports(
                store=self.store,
                clock=self.clock,
                signer=FakeSigner(),
                authority=FakeAuthority(),
                passwords=self.passwords,
                secret_box=PlainSecretBox(),
                totp=PyotpTotp("jit"),
                policy_parser=self.parser,
                objects=self.objects,
                on_call=self.on_call,
                accounts=self.accounts,
            )
        )

    async def open(self) -> None:
        created = await self.services.people.create_first_admin("root-admin")
        self.root = Person(created.view.user.user_id)

    async def person(self, name: str, *duties: Duty, account: str = "") -> Person:
        created = await self.services.people.create(self.root, name, account, duties)
        return Person(created.view.user.user_id)

    async def with_factor(self, name: str) -> tuple[Person, pyotp.TOTP]:
        """Somebody with a second factor, whose enrolment code is long past."""
        created = await self.services.people.create(self.root, name, "", ())
        offer = await self.services.factors.begin(name, created.token.token)
        totp = pyotp.TOTP(pyotp.parse_uri(offer.uri).secret)
        await self.services.factors.confirm(name, created.token.token, self.code(totp))
        self.clock.advance(90)
        return Person(created.view.user.user_id), totp

    def code(self, totp: pyotp.TOTP) -> str:
        return totp.at(self.clock.now() // 1_000_000)

    async def host(self, name: str = "web1", *, boot: str = BOOT, **labels: str) -> HostCaller:
        """An enrolled host that has said hello."""
        token = await self.services.hosts.create_token(self.root, name, labels or {"tier": "web"})
        enrolled = await self.services.hosts.enroll(token.token, "csr")
        caller = HostCaller(enrolled.host.host_id)
        await self.hello(caller, boot=boot)
        return caller

    async def hello(self, host: HostCaller, *, boot: str = BOOT, spool: str = SPOOL, ahead_s: int = 0) -> int:
        now = self.clock.now() + ahead_s * 1_000_000
        return await self.services.hosts.hello(host, Hello(boot, now, "0.1", "1.9.13p3", spool, ()))

    async def apply(self, *roles: Role) -> int:
        """Make these roles the policy; return how many grants that ended."""
        plan = await self.services.policy_changes.apply(self.root, self.parser.learn(a_policy(*roles)))
        return len(plan.endings.grants)

    def local(self, account: str) -> LocalUser:
        return LocalUser(self._uids.setdefault(account, 1_001 + len(self._uids)), account)

    async def ask(self, host: HostCaller, account: str = "alice", role: str = "web", **what: object) -> RequestView:
        wanted = replace(NewRequest(role=role, ask=an_ask(), reason="because"), **what)  # type: ignore[arg-type]
        return await self.services.requests.create(host, self.local(account), wanted)

    async def granted(
        self, host: HostCaller, approver: Person, account: str = "alice", role: str = "web", **what: object
    ) -> str:
        """The id of a grant that was asked for and approved."""
        asked = await self.ask(host, account, role, **what)
        view = await self.services.decisions.approve(approver, asked.request.request_id)
        if view.grant is None:
            raise AssertionError("one approval was not enough")
        return view.grant.grant.grant_id

    async def delivered(self, host: HostCaller, approver: Person, account: str = "alice", **what: object) -> str:
        """The id of a grant the host has been sent and says is in force."""
        grant_id = await self.granted(host, approver, account, **what)  # type: ignore[arg-type]
        await self.take(host, grant_id)
        return grant_id

    async def take(self, host: HostCaller, grant_id: str, boot: str = BOOT) -> int:
        """The host hears what it is to have, and says that this grant is in force; return the revision."""
        await self.services.delivery.desired_state(host, boot)
        revision = (await self.grant(grant_id)).revision
        await self.report(host, grant_id, Applied(revision, "jit.scope"))
        return revision

    async def extend(self, host: HostCaller, grant_id: str, account: str = "alice", **what: object) -> RequestView:
        wanted = replace(NewExtension(grant_id), **what)  # type: ignore[arg-type]
        return await self.services.extensions.extend(host, self.local(account), wanted)

    async def signed(self, host: HostCaller, grant_id: str, boot: str = BOOT) -> dict[str, Any]:
        """What the host is sent of this grant, parsed."""
        desired = await self.services.delivery.desired_state(host, boot)
        (sent,) = [grant for grant in desired.grants if grant.grant_id == grant_id]
        payload: dict[str, Any] = json.loads(sent.envelope[72 + 2 + len(DOMAIN_TAG) :])
        return payload

    async def report(self, host: HostCaller, grant_id: str, body: ReportBody, *, at: int = 0) -> int:
        """Send the next report of the host's spool; `at` is the host's time, the server's unless given."""
        sequence = self._reported[host.host_id] = self._reported.get(host.host_id, 0) + 1
        report = Report(sequence, at or self.clock.now(), grant_id, body)
        return await self.services.delivery.record_reports(host, SPOOL, [report])

    def forget_reports(self, host: HostCaller, *, kept: int) -> None:
        """The next report has the number after this one, as a host begins that was told what the server keeps."""
        self._reported[host.host_id] = kept

    async def run(
        self,
        host: HostCaller,
        grant_id: str = "",
        account: str = "alice",
        *,
        session_id: str = "",
        argv: tuple[str, ...] = ("/usr/bin/id",),
        record: Record = Record.OUTPUT,
    ) -> str:
        """The host says that sudo has started this; return the session's id."""
        told = SessionStarted(
            session_id=session_id or an_id("ses"),
            user=self.local(account),
            run_as_user="root",
            argv=argv,
            command=argv[0] if argv else "",
            cwd="/home",
            tty="/dev/pts/1",
            standing=not grant_id,
            record=record,
            environment=("TERM=xterm",),
            rows=24,
            columns=80,
        )
        await self.report(host, grant_id, told)
        return told.session_id

    async def wait_for_watcher(self, host: HostCaller, grant_id: str, account: str = "alice") -> str:
        """The host says that sudo waits until somebody watches; return the session's id."""
        session_id = an_id("ses")
        await self.report(host, grant_id, SessionWaiting(session_id, self.local(account), ("/usr/bin/id",)))
        return session_id

    async def session(self, session_id: str) -> Session:
        async with self.store.read() as tx:
            session = await tx.sessions.get(session_id)
        if session is None:
            raise AssertionError(f"no session {session_id}")
        return session

    async def grant(self, grant_id: str) -> Grant:
        async with self.store.read() as tx:
            grant = await tx.grants.get(grant_id)
        if grant is None:
            raise AssertionError(f"no grant {grant_id}")
        return grant

    async def state(self, grant_id: str) -> GrantState:
        return (await self.grant(grant_id)).state

    async def wanted(self, host: HostCaller, boot: str = BOOT) -> list[str]:
        """The ids the host is told to keep."""
        return [grant.grant_id for grant in (await self.services.delivery.desired_state(host, boot)).grants]

    async def events(self, kind: str = "") -> list[RecordedEvent]:
        return list(await self.services.audit.query(self.root, Query(kind=kind)))

    async def kinds(self, kind: str = "") -> list[str]:
        return [recorded.event.kind.value for recorded in await self.events(kind)]


def end_of(
    session_id: str, *, chunks: int = 0, digest: str = "", lost: bool = False, incomplete: str = ""
) -> SessionEnded:
    """A session's end as a host tells it."""
    return SessionEnded(session_id, 0, "", 1_500_000, lost, chunks, digest, 17, 5, incomplete)


def proof(reason: str = "expired", *, revision: int = 1, scope_empty: bool = True, late_us: int = 1_000) -> Ended:
    return Ended(revision, reason, late_us=late_us, killed=0, scope_empty=scope_empty, rule_removed=True)
