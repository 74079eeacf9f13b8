"""An installation made by the real `init`, a server composed in code, and clients that speak to it as agents and people
do: over mTLS with keys of their own.

The server's clock is an hour behind the real one and moves only forward, so that there is always a fresh one-time code
and every certificate counts for TLS already.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import grpc.aio
import pyotp
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from jit_protos.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    host_pb2,
    host_pb2_grpc,
    people_pb2,
    people_pb2_grpc,
    policy_pb2,
    policy_pb2_grpc,
    sessions_pb2_grpc,
)
from jit_server import config as configuration
from jit_server.app import App
from jit_server.config import Config
from jit_server.errors import Unauthenticated
from jit_server.installation import Installed, Wanted, install

PASSWORD = "correct horse"
BOOT_ID = "0b9f2b9e-54a5-4f0c-8f0c-0d0a3a8f1c11"


class SteppingClock:
    """An hour behind the machine's clock; `advance` moves it on, for every process that reads the same file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        if not file.exists():
            file.write_text("3600")

    def now(self) -> int:
        return time.time_ns() // 1_000 - int(self._file.read_text()) * 1_000_000

    def advance(self, seconds: int) -> None:
        draft = self._file.with_suffix(".new")
        draft.write_text(str(int(self._file.read_text()) - seconds))
        draft.replace(self._file)


class FakePasswords:
    """Everybody's password is `PASSWORD`; the answer waits while `open` is cleared, and `asked` is set meanwhile."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.asked = asyncio.Event()

    async def check(self, account: str, password: str) -> None:
        self.asked.set()
        await self.open.wait()
        if password != PASSWORD:
            raise Unauthenticated("wrong password")


@dataclass(frozen=True, slots=True)
class Identity:
    """A key with its certificate, as PEM, and the authority they were issued by."""

    key: bytes
    certificate: bytes
    ca: bytes

    def credentials(self) -> grpc.ChannelCredentials:
        return grpc.ssl_channel_credentials(self.ca, self.key, self.certificate)


@dataclass(slots=True)
class Human:
    """Somebody with a second factor and, once logged in, a certificate."""

    name: str
    totp: pyotp.TOTP
    identity: Identity


@dataclass(frozen=True, slots=True)
class Host:
    host_id: str
    identity: Identity
    grant_keys: tuple[bytes, ...]


def new_csr() -> tuple[bytes, str]:
    """A fresh P-256 key and a request for it, both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ignored")])
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem, csr.public_bytes(serialization.Encoding.PEM).decode()


async def new_world(directory: Path) -> World:
    """Install into the directory; nothing serves yet."""
    state = directory / "state"
    state.mkdir(mode=0o700)
    config = configuration.parse({"state": str(state), "listen": "127.0.0.1:0", "listen_bootstrap": "127.0.0.1:0"})
    installed = await install(config, Wanted("example.org", ("127.0.0.1",), "root-admin"))
    return World(config, installed, SteppingClock(directory / "clock"))


@dataclass(slots=True)
class World:
    config: Config
    installed: Installed
    clock: SteppingClock
    passwords: FakePasswords = field(default_factory=FakePasswords)
    app: App | None = None
    port: int = 0
    bootstrap_port: int = 0
    _admin: Human | None = None
    _channels: list[grpc.aio.Channel] = field(default_factory=list)

    @property
    def ca(self) -> bytes:
        return (self.config.state / "pki" / "ca.crt").read_bytes()

    async def start(self) -> None:
        """Serve; again after `stop`, on the same ports."""
        if self.port:
            self.config = dataclasses.replace(
                self.config,
                listen=configuration.Address("127.0.0.1", self.port),
                listen_bootstrap=configuration.Address("127.0.0.1", self.bootstrap_port),
            )
        app = App(self.config, passwords=self.passwords, clock=self.clock)
        await app.start()
        self.app, self.port, self.bootstrap_port = app, app.port, app.bootstrap_port

    async def stop(self) -> None:
        if self.app is not None:
            await self.app.stop()
            self.app = None

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close()
        await self.stop()

    # Connections

    def channel(self, identity: Identity) -> grpc.aio.Channel:
        return self._keep(grpc.aio.secure_channel(f"127.0.0.1:{self.port}", identity.credentials(), _OWN))

    def bootstrap(self) -> grpc.aio.Channel:
        credentials = grpc.ssl_channel_credentials(self.ca)
        return self._keep(grpc.aio.secure_channel(f"127.0.0.1:{self.bootstrap_port}", credentials, _OWN))

    def _keep(self, channel: grpc.aio.Channel) -> grpc.aio.Channel:
        self._channels.append(channel)
        return channel

    def people(self, human: Human) -> people_pb2_grpc.PeopleServiceAsyncStub:
        return people_pb2_grpc.PeopleServiceStub(self.channel(human.identity))

    def admin(self, human: Human) -> admin_pb2_grpc.AdminServiceAsyncStub:
        return admin_pb2_grpc.AdminServiceStub(self.channel(human.identity))

    def policy(self, human: Human) -> policy_pb2_grpc.PolicyServiceAsyncStub:
        return policy_pb2_grpc.PolicyServiceStub(self.channel(human.identity))

    def sessions(self, human: Human) -> sessions_pb2_grpc.SessionServiceAsyncStub:
        return sessions_pb2_grpc.SessionServiceStub(self.channel(human.identity))

    def host(self, host: Host) -> host_pb2_grpc.HostServiceAsyncStub:
        return host_pb2_grpc.HostServiceStub(self.channel(host.identity))

    def access(self) -> people_pb2_grpc.AccessAsyncStub:
        return people_pb2_grpc.AccessStub(self.bootstrap())

    def enrollment(self) -> host_pb2_grpc.EnrollmentAsyncStub:
        return host_pb2_grpc.EnrollmentStub(self.bootstrap())

    # People and hosts

    def code(self, human: Human) -> str:
        """A one-time code that was not used before."""
        self.clock.advance(30)
        return human.totp.at(self.clock.now() // 1_000_000)

    async def first_admin(self) -> Human:
        """The administrator whom `init` made; the same on every call."""
        if self._admin is None:
            self._admin = await self.welcome(self.installed.admin, self.installed.mfa_token)
        return self._admin

    async def add_user(self, admin: Human, name: str, *duties: str) -> Human:
        created = await self.admin(admin).CreateUser(admin_pb2.CreateUserRequest(name=name, duties=duties))
        return await self.welcome(name, created.mfa_token)

    async def welcome(self, name: str, mfa_token: str) -> Human:
        """Enrol the second factor and log in."""
        access = self.access()
        offer = await access.BeginTotp(people_pb2.BeginTotpRequest(user=name, token=mfa_token))
        totp = pyotp.parse_uri(offer.uri)
        assert isinstance(totp, pyotp.TOTP)
        human = Human(name, totp, Identity(b"", b"", b""))
        confirm = people_pb2.ConfirmTotpRequest(user=name, token=mfa_token, otp=self.code(human))
        await access.ConfirmTotp(confirm)
        human.identity = await self.log_in(human)
        return human

    async def log_in(self, human: Human) -> Identity:
        key, csr = new_csr()
        request = people_pb2.LoginRequest(user=human.name, password=PASSWORD, otp=self.code(human), csr=csr)
        answer = await self.access().Login(request)
        return Identity(key, answer.certificate.encode(), answer.ca.encode())

    async def add_host(self, admin: Human, name: str, **labels: str) -> Host:
        token = await self.admin(admin).CreateEnrollToken(
            admin_pb2.CreateEnrollTokenRequest(host_name=name, labels=labels)
        )
        return await self.enroll(token.token)

    async def enroll(self, token: str) -> Host:
        key, csr = new_csr()
        answer = await self.enrollment().Enroll(host_pb2.EnrollRequest(token=token, csr=csr))
        identity = Identity(key, answer.certificate.encode(), answer.ca.encode())
        return Host(answer.host_id, identity, tuple(answer.grant_keys))

    async def apply_policy(self, admin: Human, text: str) -> policy_pb2.PolicyPlan:
        policy = policy_pb2.PolicyText(files=[policy_pb2.PolicyFile(name="policy.yaml", text=text)])
        return await self.policy(admin).Apply(policy_pb2.ApplyPolicyRequest(policy=policy))

    # The host's stream

    def session(self, host: Host) -> Session:
        return Session(self.host(host).Session(), self.clock)


class Session:
    """One stream of a host, as an agent holds it."""

    def __init__(
        self, call: grpc.aio.StreamStreamCall[host_pb2.HostMessage, host_pb2.ServerMessage], clock: SteppingClock
    ) -> None:
        self.call = call
        self._clock = clock

    async def hello(self, *, spool_id: str = "spool-1", boot_id: str = BOOT_ID, now: int = 0) -> None:
        hello = host_pb2.HostHello(
            boot_id=boot_id,
            now=now or self._clock.now(),
            agent_version="0.1.0",
            sudo_version="1.9.13p3",
            spool_id=spool_id,
        )
        await self.call.write(host_pb2.HostMessage(hello=hello))

    async def report(self, sequence: int, grant_id: str, **body: object) -> None:
        report = host_pb2.Report(sequence=sequence, at=self._clock.now(), grant_id=grant_id, **body)  # type: ignore[arg-type]
        await self.call.write(host_pb2.HostMessage(report=report))

    async def receive(self, kind: str) -> host_pb2.ServerMessage:
        """The next message of that kind; others are passed over."""
        async for message in self.messages():
            if message.WhichOneof("body") == kind:
                return message
        raise AssertionError(f"the stream ended without {kind}: {await self.call.code()} {await self.call.details()}")

    async def messages(self) -> AsyncIterator[host_pb2.ServerMessage]:
        """What the server sends, until the stream ends in whatever way; `call.code()` tells which."""
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            while isinstance(message := await self.call.read(), host_pb2.ServerMessage):
                yield message

    async def desired(self) -> host_pb2.DesiredState:
        return (await self.receive("desired")).desired

    async def orders(self) -> list[host_pb2.SessionOrder]:
        return list((await self.receive("orders")).orders.orders)

    async def kept(self) -> int:
        return (await self.receive("kept")).kept.sequence

    def end(self) -> None:
        self.call.cancel()


# Each client has a connection of its own, as on different machines.
_OWN = (("grpc.use_local_subchannel_pool", 1),)
