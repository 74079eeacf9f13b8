"""How `jitctl` comes to trust a server: a CA pinned by its fingerprint.

The first contact reads the server's chain without believing it, and keeps the
one certificate that has the fingerprint the administrator gave, if it is a CA.
From then on that CA is the only root, and gRPC verifies chain and name itself.
Nothing secret is sent before that.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import socket
import ssl
from typing import Any, NoReturn

from . import state, times
from .errors import CtlError

DEFAULT_PORT = 7444
_FINGERPRINT = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?", re.ASCII)


def address(text: str) -> str:
    """HOST:PORT of a server, with the bootstrap port when none is given; raise `CtlError` (usage)."""
    found = _ADDRESS.fullmatch(text)
    port = int(found[2] or DEFAULT_PORT) if found else 0
    if found is None or not 0 < port < 65536:
        raise CtlError("usage", f"not a server address: {text}", "write it like jit.example.org:7444")
    return f"{found[1]}:{port}"


def fingerprint(der: bytes) -> str:
    return f"sha256:{hashlib.sha256(der).hexdigest()}"


def parse_fingerprint(text: str) -> str:
    """A fingerprint in its one form; colons and capitals, as openssl prints them, are accepted."""
    kind, _, digits = text.strip().lower().partition(":")
    plain = f"{kind}:{digits.replace(':', '')}"
    if not _FINGERPRINT.fullmatch(plain):
        raise CtlError("usage", f"not a fingerprint: {text}", "write it like sha256: and 64 hexadecimal digits")
    return plain


def pinned_fingerprint() -> str:
    """Of the CA that is pinned; raise `CtlError` (config) when none is."""
    pem = state.read_ca()
    if pem is None:
        raise CtlError("config", "no server is known yet", "run 'jitctl login --server HOST:7444 --ca sha256:…'")
    return _fingerprint_of_pem(pem)


def _fingerprint_of_pem(pem: bytes) -> str:
    try:
        return fingerprint(ssl.PEM_cert_to_DER_cert(pem.decode("ascii")))
    except ValueError:
        raise CtlError(
            "config", f"{state.ca_path()} is not a certificate", "run 'jitctl logout --forget', then log in again"
        ) from None


def _shown_chain(server: str, timeout: float) -> list[bytes]:
    """The certificates a server shows, as DER; nothing about them is verified."""
    host, _, port = server.rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    try:
        with (
            socket.create_connection((host.strip("[]"), int(port)), timeout=timeout) as plain,
            context.wrap_socket(plain, server_hostname=host.strip("[]")) as encrypted,
        ):
            return _unverified_chain(encrypted)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise CtlError(
            "unavailable", f"cannot reach {server}: {why}", "check the address, and that jit-server runs"
        ) from error


def _unverified_chain(encrypted: ssl.SSLSocket) -> list[bytes]:
    # Public from Python 3.13 on; before that the same call of the C object, with objects for bytes.
    if hasattr(encrypted, "get_unverified_chain"):
        return list(encrypted.get_unverified_chain())
    inner: Any = encrypted._sslobj  # type: ignore[attr-defined]
    return [ssl.PEM_cert_to_DER_cert(certificate.public_bytes()) for certificate in inner.get_unverified_chain() or ()]


def fetch_ca(server: str, wanted: str, timeout: float) -> bytes:
    """PEM of the CA with the fingerprint `wanted` in the server's chain.

    Raises `CtlError`: unavailable when there is no server, config when it
    shows no such certificate or the certificate is no valid CA.
    """
    from cryptography import x509

    chain = _shown_chain(server, timeout)
    for der in chain:
        if not hmac.compare_digest(fingerprint(der), wanted):
            continue
        try:
            certificate = x509.load_der_x509_certificate(der)
            is_ca = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        except (ValueError, x509.ExtensionNotFound):
            is_ca = False
        if not is_ca:
            raise CtlError(
                "config", f"{wanted} is not the fingerprint of a CA", "take the one 'jit-server init' printed"
            )
        if not certificate.not_valid_before_utc <= times.now() <= certificate.not_valid_after_utc:
            raise CtlError("config", f"the CA of {server} is not valid today", "check the clock of this machine")
        return ssl.DER_cert_to_PEM_cert(der).encode("ascii")
    raise CtlError(
        "config",
        f"{server} does not show a certificate with the fingerprint {wanted}",
        "ask your administrator for the fingerprint; if it is right, somebody is between you and the server",
    )


def establish(server: str, ca: str, timeout: float) -> tuple[str, bytes]:
    """Address and pinned CA to use, from what was given and what is kept.

    The first time both must be given.  A `ca` that differs from the pinned one
    is refused, not taken over: a pin that can be talked away is none.
    """
    wanted_server = address(server or state.read_config().server or _missing("--server HOST:7444"))
    pinned = state.read_ca()
    if pinned is None:
        pem = fetch_ca(wanted_server, parse_fingerprint(ca or _missing("--ca sha256:…")), timeout)
        state.write_ca(pem)
        return wanted_server, pem
    kept = _fingerprint_of_pem(pinned)
    if ca and parse_fingerprint(ca) != kept:
        raise CtlError(
            "config", f"another CA is pinned: {kept}", "if the server really has a new one: 'jitctl logout --forget'"
        )
    return wanted_server, pinned


def _missing(flag: str) -> NoReturn:
    raise CtlError("usage", "this is the first contact with the server", f"give {flag}")
