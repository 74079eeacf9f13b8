"""Hosts: joining with a one-time token, certificates, presence, leaving."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from jit_server.domain.events import SERVER, Event, EventKind
from jit_server.domain.identity import Host, HostCaller, Person, check_boot_id, check_host_name, check_labels
from jit_server.domain.ids import Kind, RandomBytes, new_id
from jit_server.domain.lifecycle import GrantMove, GrantState
from jit_server.domain.report import Hello
from jit_server.errors import Conflict, Invalid, Unauthenticated
from jit_server.ports import CertificateAuthority, Clock, IssuedCertificate, Signer
from jit_server.services import access
from jit_server.services.ending import end_everything
from jit_server.services.lost_sessions import lose_sessions
from jit_server.services.recording import host_actor, note_grant
from jit_server.services.tokens import IssuedToken, hash_token, new_token
from jit_server.services.views import HostView
from jit_server.store import Store, Transaction
from jit_server.store_values import EnrollToken, Scope

DEFAULT_TOKEN_S = 3600
MAX_TOKEN_S = 7 * 24 * 3600
SEEN_EVERY_US = 30 * 1_000_000
"""A heartbeat is written down no more often than this, unless the host's clock became right or wrong."""


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What a new host takes home; `grant_keys` are raw Ed25519 public keys."""

    host: Host
    certificate: IssuedCertificate
    ca: str
    grant_keys: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Renewed:
    certificate: IssuedCertificate
    ca: str


class HostService:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        authority: CertificateAuthority,
        signer: Signer,
        random_bytes: RandomBytes,
    ) -> None:
        self._store = store
        self._clock = clock
        self._authority = authority
        self._signer = signer
        self._random_bytes = random_bytes

    async def create_token(
        self, caller: Person, untrusted_name: str, untrusted_labels: Mapping[str, str], valid_s: int = 0
    ) -> IssuedToken:
        """Let one host join under that name with those labels; zero seconds mean one hour.

        Raises `Denied` unless an administrator asks, `Conflict` if the name is in use, `Invalid` for bad input.
        """
        name, labels = check_host_name(untrusted_name), check_labels(untrusted_labels)
        if not 0 <= valid_s <= MAX_TOKEN_S:
            raise Invalid(f"a token cannot be valid for {valid_s} s", hint=f"ask for 1 to {MAX_TOKEN_S} seconds")
        async with self._store.write() as tx:
            admin = await access.person(tx, caller)
            access.require_admin(admin)
            await _require_free(tx, name)
            now = self._clock.now()
            issued = IssuedToken(
                new_token("jit-host", self._random_bytes), now + (valid_s or DEFAULT_TOKEN_S) * 1_000_000
            )
            await tx.hosts.add_token(EnrollToken(hash_token(issued.token), name, labels, issued.expires_at))
            await tx.audit.append(
                Event(
                    at=now,
                    kind=EventKind.HOST_TOKEN_CREATED,
                    actor=admin.name,
                    host=name,
                    details={"labels": labels, "expires_at": issued.expires_at},
                )
            )
        return issued

    async def enroll(self, untrusted_token: str, untrusted_csr: str) -> Enrolled:
        """Use up a token and make the host it names.

        Raises `Unauthenticated` for a token that is wrong, expired or used (the same text for each), `Invalid` for a
        bad certificate request, `Conflict` if the name was taken meanwhile.
        """
        async with self._store.write() as tx:
            now = self._clock.now()
            token = await tx.hosts.token(hash_token(untrusted_token))
            if token is None or token.used or token.expires_at <= now:
                raise _bad_token()
            await _require_free(tx, token.host_name)
            host = Host(
                host_id=new_id(Kind.HOST, self._random_bytes),
                name=token.host_name,
                labels=token.labels,
                enrolled_at=now,
            )
            certificate = self._authority.issue_host(untrusted_csr, host.host_id, now)
            await tx.hosts.add(host)
            if not await tx.hosts.use_token(token.token_hash, host.host_id):
                raise _bad_token()
            await tx.audit.append(
                Event(
                    at=now,
                    kind=EventKind.HOST_ENROLLED,
                    actor=host_actor(host),
                    host=host.name,
                    details={"host_id": host.host_id, "labels": dict(host.labels)},
                )
            )
        return Enrolled(host, certificate, self._authority.certificate(), tuple(self._signer.public_keys()))

    async def renew(self, caller: HostCaller, untrusted_csr: str) -> Renewed:
        """Give an enrolled host a new certificate.  Raises `Invalid` for a bad certificate request."""
        async with self._store.write() as tx:
            host = await access.host(tx, caller)
            now = self._clock.now()
            certificate = self._authority.issue_host(untrusted_csr, host.host_id, now)
            await _note(tx, EventKind.HOST_CERTIFICATE_RENEWED, host, now, host_actor(host))
        return Renewed(certificate, self._authority.certificate())

    async def remove(self, caller: Person, untrusted_host: str) -> HostView:
        """Shut a host out: its certificate counts no more, its grants are revoked, its pending requests cancelled.

        Of its open sessions nobody will tell the end: they are lost.
        """
        async with self._store.write() as tx:
            admin = await access.person(tx, caller)
            access.require_admin(admin)
            host = await access.find_host(tx, untrusted_host)
            if host.removed:
                raise Conflict(f"{host.name} was removed already")
            now = self._clock.now()
            scope = Scope(host_id=host.host_id, everything=True)
            await end_everything(tx, scope, actor=admin.name, now=now, why=f"{host.name} was removed")
            await lose_sessions(tx, host, actor=admin.name, now=now)
            await tx.hosts.remove(host.host_id)
            await _note(tx, EventKind.HOST_REMOVED, host, now, admin.name)
            return await _view(tx, host.host_id)

    async def list_all(self, caller: Person) -> tuple[HostView, ...]:
        """Every host that was not removed, by name.  Raises `Denied` unless an administrator or auditor asks."""
        async with self._store.read() as tx:
            access.require_reader(await access.person(tx, caller))
            counts = await tx.grants.count_open()
            return tuple(
                HostView(host, counts.get(host.host_id, 0)) for host in await tx.hosts.all() if not host.removed
            )

    async def authenticate(self, caller: HostCaller) -> Host:
        """Return which host calls; raises `Unauthenticated` for one we do not know, or removed."""
        async with self._store.read() as tx:
            return await access.host(tx, caller)

    async def hello(self, caller: HostCaller, untrusted: Hello) -> int:
        """A stream began: store what the host says, and return the last report kept of its spool.

        Grants in force on another boot have to be taken again by this one, for a reboot ended them (DESIGN 3).
        """
        check_boot_id(untrusted.boot_id)
        if not 1 <= len(untrusted.spool_id) <= 64:
            raise Invalid("the spool id is empty or longer than 64 characters")
        async with self._store.write() as tx:
            host = await access.host(tx, caller)
            now = self._clock.now()
            await tx.hosts.greet(host.host_id, untrusted, now)
            actor = host_actor(host)
            details: dict[str, str | list[str]] = {
                "boot": untrusted.boot_id,
                "agent": untrusted.agent_version,
                "sudo": untrusted.sudo_version,
                "problems": list(untrusted.problems),
            }
            await tx.audit.append(
                Event(at=now, kind=EventKind.HOST_CONNECTED, actor=actor, host=host.name, details=details)
            )
            active = await tx.grants.select(Scope(host_id=host.host_id, everything=True), states=(GrantState.ACTIVE,))
            for grant in active:
                # One whose time ran out meanwhile does not come back, though nobody has said so yet.
                if grant.applied_boot != untrusted.boot_id and grant.wanted_at(now):
                    await tx.grants.move(grant, GrantMove.REBOOT)
                    await note_grant(
                        tx, EventKind.GRANT_ISSUED, grant, actor=actor, now=now, host=host, again="the host rebooted"
                    )
            return await tx.reports.last(host.host_id, untrusted.spool_id)

    async def seen(self, caller: HostCaller, host_now: int) -> None:
        """A heartbeat with the host's clock; raises `Unauthenticated` if the host was removed meanwhile."""
        async with self._store.read() as tx:
            host = await access.host(tx, caller)
        now = self._clock.now()
        skew = host_now - now
        was_off, host = host.clock_is_off, _with_skew(host, skew)
        if now - host.last_seen < SEEN_EVERY_US and host.clock_is_off == was_off:
            return
        async with self._store.write() as tx:
            await tx.hosts.set_seen(caller.host_id, now, skew)
            if was_off and not host.clock_is_off:
                # Grants that were held back while the clock was wrong may go out now.
                await tx.hosts.raise_generation(caller.host_id)

    async def disconnected(self, caller: HostCaller) -> None:
        """The host's last stream ended.  The edge does not call this for a stream that another one replaced."""
        async with self._store.write() as tx:
            host = await tx.hosts.get(caller.host_id)
            if host is not None and host.connected:
                await tx.hosts.set_disconnected(host.host_id)
                await _note(tx, EventKind.HOST_DISCONNECTED, host, self._clock.now(), SERVER)

    async def disconnect_all(self) -> None:
        """No stream is open: to be called once when the only server process starts."""
        async with self._store.write() as tx:
            for host in await tx.hosts.all():
                if host.connected:
                    await tx.hosts.set_disconnected(host.host_id)
                    await _note(tx, EventKind.HOST_DISCONNECTED, host, self._clock.now(), SERVER)


def _with_skew(host: Host, clock_skew_us: int) -> Host:
    return replace(host, clock_skew_us=clock_skew_us)


def _bad_token() -> Unauthenticated:
    return Unauthenticated(
        "this token cannot be used: wrong, expired or used up",
        hint="ask an administrator for another: jitctl hosts enroll-token",
    )


async def _require_free(tx: Transaction, name: str) -> None:
    if await tx.hosts.by_name(name) is not None:
        raise Conflict(f"{name} is enrolled already", hint=f"remove it first: jitctl hosts rm {name}")


async def _view(tx: Transaction, host_id: str) -> HostView:
    host = await tx.hosts.get(host_id)
    if host is None:
        raise Conflict("the host is gone")
    return HostView(host, (await tx.grants.count_open()).get(host_id, 0))


async def _note(tx: Transaction, kind: EventKind, host: Host, now: int, actor: str) -> None:
    await tx.audit.append(Event(at=now, kind=kind, actor=actor, host=host.name, details={"host_id": host.host_id}))
