"""The server as `jitctl` sees it: both listeners over real TLS, data in memory that a test may bend.

It keeps the contracts jitctl relies on (SPEC 1.1 prefixes, 4.3 error words in
trailing metadata) and nothing else: no policy, no store.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

import grpc

from jit_protos.v1.admin_pb2_grpc import add_AdminServiceServicer_to_server
from jit_protos.v1.audit_pb2_grpc import add_AuditServiceServicer_to_server
from jit_protos.v1.people_pb2_grpc import add_AccessServicer_to_server, add_PeopleServiceServicer_to_server
from jit_protos.v1.policy_pb2_grpc import add_PolicyServiceServicer_to_server
from jit_protos.v1.sessions_pb2_grpc import add_SessionServiceServicer_to_server
from jit_testing.ctl_certificates import Authority, pem
from jit_testing.fake_ctl_admin import FakeAdmin, FakeAudit
from jit_testing.fake_ctl_people import FakeAccess, FakePeople
from jit_testing.fake_ctl_policy import FakePolicy
from jit_testing.fake_ctl_sessions import FakeSessions


class FakeServer(FakeAccess, FakePeople, FakeAdmin, FakeAudit, FakePolicy, FakeSessions):
    """Start it with `with`; `bootstrap` and `mtls` are its addresses."""

    def __init__(
        self,
        authority: Authority,
        *,
        show_ca: bool = True,
        server_authority: Authority | None = None,
        mtls_port: int = 0,
    ) -> None:
        super().__init__(authority)
        key, certificate = (server_authority or authority).server()
        chain = pem(certificate) + (authority.pem if show_ca else b"")
        self._bootstrap = grpc.server(ThreadPoolExecutor(4))
        self._mtls = grpc.server(ThreadPoolExecutor(8))
        add_AccessServicer_to_server(self, self._bootstrap)
        add_PeopleServiceServicer_to_server(self, self._mtls)
        add_AdminServiceServicer_to_server(self, self._mtls)
        add_AuditServiceServicer_to_server(self, self._mtls)
        add_PolicyServiceServicer_to_server(self, self._mtls)
        add_SessionServiceServicer_to_server(self, self._mtls)
        port = self._bootstrap.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, chain)]))
        self.bootstrap = f"127.0.0.1:{port}"
        port = self._mtls.add_secure_port(
            f"127.0.0.1:{mtls_port}",
            grpc.ssl_server_credentials([(key, chain)], authority.pem, require_client_auth=True),
        )
        self.mtls = f"127.0.0.1:{port}"

    def __enter__(self) -> Self:
        self._bootstrap.start()
        self._mtls.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self.changed:
            self.stopped = True
            self.changed.notify_all()
        for listener in (self._bootstrap, self._mtls):
            listener.stop(None).wait()
