"""The server's side of TLS: a certificate that is replaced while the server runs.

The chain holds the authority's certificate too: who joins knows nothing but its fingerprint, and must find it there.
"""

from __future__ import annotations

import logging
import threading

import grpc

from jit_server.adapters import ca
from jit_server.adapters.ca import X509CertificateAuthority
from jit_server.adapters.state_directory import StateDirectory

_log = logging.getLogger(__name__)


class ServerCertificate:
    """The certificate both listeners show; every new handshake gets the newest."""

    def __init__(self, state: StateDirectory, authority: X509CertificateAuthority) -> None:
        self._state = state
        self._authority = authority
        # gRPC asks from threads of its own.
        self._lock = threading.Lock()
        self.reload()

    def renew_if_due(self, now: int) -> bool:
        """Make a new certificate for the same names once two thirds of its life are over; `now` in µs UTC."""
        _, certificate = self._state.server_certificate()
        if not ca.renewal_due(certificate, now):
            return False
        self._state.renew_server_certificate(self._authority, ca.server_names(certificate), now)
        self.reload()
        _log.info("The server's certificate was renewed")
        return True

    def credentials(self, *, require_client_certificate: bool) -> grpc.ServerCredentials:
        """TLS for a listener; `require_client_certificate` makes it mutual."""

        def current() -> grpc.ServerCertificateConfiguration:
            with self._lock:
                return self._mutual if require_client_certificate else self._plain

        return grpc.dynamic_ssl_server_credentials(current(), current, require_client_certificate)

    def reload(self) -> None:
        """Read the certificate from disk; it counts from the next handshake on."""
        key, certificate = self._state.server_certificate()
        root = self._authority.certificate().encode("ascii")
        pair = [(key, certificate + root)]
        with self._lock:
            self._mutual = grpc.ssl_server_certificate_configuration(pair, root)
            self._plain = grpc.ssl_server_certificate_configuration(pair)
