"""The running server: ports, services and listeners put together, and the timers that need nobody to call.

What an installation may choose is in `Config`; how passwords are checked is an argument of the code, never of a
configuration.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable

from jit_server.adapters.changes import InProcessChanges
from jit_server.adapters.objects import LocalObjects
from jit_server.adapters.on_call import FileRota, Rota, Rotas
from jit_server.adapters.on_call_webhook import WebhookRota
from jit_server.adapters.policy_yaml import YamlPolicyParser
from jit_server.adapters.sql import SqlStore, migrate
from jit_server.adapters.state_directory import StateDirectory, StateError
from jit_server.adapters.totp import PyotpTotp
from jit_server.config import Address, Config, RotaFile, RotaWebhook
from jit_server.ports import Clock, PasswordChecker
from jit_server.rpc.access import Access
from jit_server.rpc.account_queries import AccountQueries
from jit_server.rpc.admin_service import AdminService
from jit_server.rpc.audit_service import AuditService
from jit_server.rpc.enrollment import Enrollment
from jit_server.rpc.finishing import finished
from jit_server.rpc.host_service import HostService
from jit_server.rpc.host_session import HostSessions
from jit_server.rpc.identity import Admission, Gate
from jit_server.rpc.people_service import PeopleService
from jit_server.rpc.policy_service import PolicyService
from jit_server.rpc.rate_limit import RateLimiter
from jit_server.rpc.recording_calls import RecordingCalls
from jit_server.rpc.recording_uploads import RecordingUploads
from jit_server.rpc.server import BOOTSTRAP, GRACE_S, MUTUAL, Listener
from jit_server.rpc.session_service import SessionService
from jit_server.rpc.tls import ServerCertificate
from jit_server.services import Ports, Services, compose

TICK_S = 1.0
RETENTION_S = 60.0
ROTAS_S = 5.0
STRANDED_S = 60.0
"""So long a host may take to tell the end of a session whose grant is over."""
RENEWAL_CHECK_S = 3_600.0

_log = logging.getLogger(__name__)


class App:
    """One server process.  `start`, then `stop` once."""

    def __init__(self, config: Config, *, passwords: PasswordChecker, clock: Clock) -> None:
        self._config = config
        self._passwords = passwords
        self._clock = clock
        self._stack = contextlib.AsyncExitStack()

    async def start(self) -> None:
        """Migrate the database, listen, and start the timers; raises without leaving anything open."""
        async with contextlib.AsyncExitStack() as stack:
            await self._start(stack)
            self._stack = stack.pop_all()

    async def stop(self) -> None:
        """Drain: returns when what was under way has ended, after `GRACE_S` seconds at the latest."""
        await self._stack.aclose()

    def reload(self) -> None:
        """Show a certificate that was replaced on disk from the next handshake on."""
        try:
            self._certificate.reload()
        except StateError as error:
            _log.error("The certificate was not reloaded: %s", error)

    async def _start(self, stack: contextlib.AsyncExitStack) -> None:
        state = StateDirectory(self._config.state)
        keys = state.load_keys()
        self._certificate = ServerCertificate(state, keys.authority)
        self._certificate.renew_if_due(self._clock.now())
        await migrate(self._config.database)
        changes = InProcessChanges()
        store = SqlStore(self._config.database, changes)
        stack.push_async_callback(store.close)
        self._rotas = Rotas({name: _rota(name, rota) for name, rota in self._config.on_call.items()})
        objects = LocalObjects(self._config.recordings, self._clock)
        stack.callback(objects.close)
        accounts = AccountQueries()
        services = compose(
            Ports(
                store=store,
                clock=self._clock,
                signer=keys.signer,
                authority=keys.authority,
                passwords=self._passwords,
                secret_box=keys.secret_box,
                totp=PyotpTotp(self._config.issuer),
                policy_parser=YamlPolicyParser(),
                objects=objects,
                on_call=self._rotas,
                accounts=accounts,
            )
        )
        gate = Gate(RateLimiter(time.monotonic))
        admission = Admission(keys.authority.domain, self._clock)
        name = self._config.advertise or state.server_names()[0]

        mutual = Listener(self._config.listen, self._certificate.credentials(require_client_certificate=True), MUTUAL)
        bootstrap = Listener(
            self._config.listen_bootstrap, self._certificate.credentials(require_client_certificate=False), BOOTSTRAP
        )
        self.port, self.bootstrap_port = mutual.port, bootstrap.port
        advertised = str(Address(name, mutual.port))
        advertised_bootstrap = str(Address(name, bootstrap.port))
        sessions = HostSessions(services, changes, self._clock, accounts)
        mutual.add(HostService(services, changes, sessions, RecordingUploads(services)).service(admission))
        mutual.add(SessionService(services, RecordingCalls(services, changes, self._clock)).service(admission))
        mutual.add(PeopleService(services, changes, self._clock).service(admission))
        mutual.add(AuditService(services, changes, self._clock).service(admission))
        mutual.add(PolicyService(services).service(admission))
        mutual.add(AdminService(services, advertised_bootstrap, keys.authority.fingerprint()).service(admission))
        bootstrap.add(Enrollment(services, advertised).service(gate))
        bootstrap.add(Access(services, advertised).service(gate))

        # Only who holds the ports may say so: a second server by mistake must not call the first one's hosts away.
        await services.hosts.disconnect_all()
        await services.policies.warm()
        self._timers(stack, services)
        for listener in (mutual, bootstrap):
            await listener.start()
        stack.push_async_callback(_stop_both, mutual, bootstrap)
        _log.info("Serving on %s and %s as %s", self._config.listen, self._config.listen_bootstrap, name)

    def _timers(self, stack: contextlib.AsyncExitStack, services: Services) -> None:
        async def renew() -> None:
            self._certificate.renew_if_due(self._clock.now())

        timers: tuple[tuple[str, float, Callable[[], Awaitable[float | None]]], ...] = (
            ("pending requests", TICK_S, _regularly(services.requests.lapse)),
            ("starts", TICK_S, services.starting.start_due),
            ("grants", TICK_S, _regularly(services.grants.expire)),
            ("locks", TICK_S, _regularly(services.locks.expire)),
            ("renewals", TICK_S, _regularly(services.renewals.lapse)),
            ("eligibilities", TICK_S, services.eligibility.follow),
            ("lost sessions", STRANDED_S, _regularly(services.lost_sessions.look)),
            ("recordings", RETENTION_S, services.retention.expire),
            ("objects", RETENTION_S, _regularly(services.retention.sweep)),
            ("rotas", ROTAS_S, _regularly(self._rotas.refresh)),
            ("certificate", RENEWAL_CHECK_S, _regularly(renew)),
        )
        for what, interval_s, act in timers:
            task = asyncio.create_task(_repeat(what, interval_s, act))
            stack.push_async_callback(_end, task)


def _rota(name: str, source: RotaFile | RotaWebhook) -> Rota:
    if isinstance(source, RotaFile):
        return FileRota(source.path, name)
    return WebhookRota(source.url, source.token_file, source.ca_file, time.monotonic)


async def _repeat(what: str, interval_s: float, act: Callable[[], Awaitable[float | None]]) -> None:
    """Act again and again: a failure is logged and tried again, it never ends the timer.

    `act` may return in how many seconds it is wanted again, if that is before the interval has passed.
    """
    while True:
        sooner_s = None
        try:
            sooner_s = await finished(act())
        except Exception:
            _log.exception("A timer failed and will be tried again: %s", what)
        await asyncio.sleep(interval_s if sooner_s is None else min(interval_s, sooner_s))


def _regularly(act: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[None]]:
    async def acting() -> None:
        await act()

    return acting


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def _stop_both(*listeners: Listener) -> None:
    await asyncio.gather(*(listener.stop(GRACE_S) for listener in listeners))
