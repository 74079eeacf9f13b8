"""The host's key and certificates on disk (SPEC 1.3, 1.5): `pki/{host.key,host.crt,ca.crt}`.

A renewal replaces key and certificate, which are two files: both are made durable under `.new` names first, and a crash
between the two renames is finished by the next `load`.  Nothing here imports the cryptography package, which would stay
in the agent's memory for ever; keys are made by `keys`, in a process of its own.
"""

from __future__ import annotations

import os
import re
import ssl
from base64 import b64decode
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from jit_agent.errors import Misconfigured

KEY, CERTIFICATE, CA = "host.key", "host.crt", "ca.crt"


@dataclass(frozen=True, slots=True)
class Identity:
    """PEM bytes, and the life of the certificate in µs UTC."""

    key: bytes
    certificate: bytes
    ca: bytes
    not_before: int
    not_after: int

    @property
    def renew_at(self) -> int:
        """Two thirds of its life are over (SPEC 1.3)."""
        return self.not_before + (self.not_after - self.not_before) * 2 // 3


def load(pki: Path) -> Identity:
    """Read the files, finishing a renewal that a crash interrupted; raises `Misconfigured`."""
    try:
        if not _belong_together(pki / CERTIFICATE, pki / KEY):
            if not _belong_together(pki / f"{CERTIFICATE}.new", pki / KEY):
                raise Misconfigured("the host's certificate is not for its key", hint=_ENROL_AGAIN)
            _rename(pki, CERTIFICATE)
        certificate = (pki / CERTIFICATE).read_bytes()
        not_before, not_after = validity(certificate)
        return Identity((pki / KEY).read_bytes(), certificate, (pki / CA).read_bytes(), not_before, not_after)
    except OSError as e:
        raise Misconfigured(f"{e.filename}: {e.strerror}", hint=_ENROL_AGAIN) from e


def replace(pki: Path, key: bytes, certificate: bytes, ca: bytes) -> Identity:
    """Put a renewed key and certificate in place and return them; raises `Misconfigured` and changes nothing if they do
    not belong together."""
    try:
        write_durably(pki / f"{KEY}.new", key, 0o600)
        write_durably(pki / f"{CERTIFICATE}.new", certificate, 0o600)
        if not _belong_together(pki / f"{CERTIFICATE}.new", pki / f"{KEY}.new"):
            raise Misconfigured("the server's new certificate is not for our key")
        validity(certificate)
        _rename(pki, KEY)
        _rename(pki, CERTIFICATE)
        write_durably(pki / f"{CA}.new", ca, 0o600)
        _rename(pki, CA)
    except OSError as e:
        raise Misconfigured(f"{e.filename}: {e.strerror}") from e
    return load(pki)


def write_durably(path: Path, content: bytes, mode: int) -> None:
    """Make a new file with exactly this mode, on the disk when this returns; an older one of the name goes."""
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(fd, "wb") as file:
        os.fchmod(fd, mode)
        file.write(content)
        file.flush()
        os.fsync(fd)


def sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def validity(certificate: bytes) -> tuple[int, int]:
    """(not before, not after) of a PEM certificate, µs UTC; raises `Misconfigured`.

    A reader of just enough DER (RFC 5280 4.1): the dates of a file that only we write are no reason to keep a whole
    X.509 library in memory.
    """
    try:
        body = certificate.split(b"-----BEGIN CERTIFICATE-----")[1].split(b"-----END CERTIFICATE-----")[0]
        tbs = _content(_content(b64decode(body)))
        fields = _children(tbs)
        # version, serialNumber, signature, issuer, validity; we never issue version 1, which has no version field.
        start, end = _children(fields[4])
        return _time(start), _time(end)
    except (IndexError, ValueError) as e:
        raise Misconfigured("the host's certificate cannot be read", hint=_ENROL_AGAIN) from e


def require_host(certificate: bytes, host_id: str) -> None:
    """Raise `Misconfigured` unless the PEM certificate is this host's (SPEC 1.3), and not one that was copied here."""
    body = certificate.split(b"-----BEGIN CERTIFICATE-----")[-1].split(b"-----END CERTIFICATE-----")[0]
    if f"/host/{host_id}".encode() not in b64decode(body):
        raise Misconfigured(f"the host's certificate is not for {host_id}, which this host is", hint=_ENROL_AGAIN)


_ENROL_AGAIN = "enrol the host again: jit-agent enroll --force"
_TIME = re.compile(rb"(?:\d{12}|\d{14})Z")


def _rename(pki: Path, name: str) -> None:
    (pki / f"{name}.new").rename(pki / name)
    sync_directory(pki)


def _belong_together(certificate: Path, key: Path) -> bool:
    if not key.exists() or not certificate.exists():
        return False
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key)
    except ssl.SSLError:
        return False
    return True


def _content(der: bytes) -> bytes:
    return _split(der)[0]


def _children(der: bytes) -> list[bytes]:
    children = []
    while der:
        content, der = _split(der)
        children.append(content)
    return children


def _split(der: bytes) -> tuple[bytes, bytes]:
    """Content of the first element, and what follows it."""
    length, start = der[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[2:start], "big")
    if start + length > len(der):
        raise ValueError("truncated")
    return der[start : start + length], der[start + length :]


def _time(text: bytes) -> int:
    if not _TIME.fullmatch(text):
        raise ValueError("not a time")
    # UTCTime has two digits of the year, and this century until 2049 (RFC 5280 4.1.2.5.1).
    full = text.decode("ascii") if len(text) == 15 else f"20{text.decode('ascii')}"
    return int(datetime.strptime(full, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()) * 1_000_000
