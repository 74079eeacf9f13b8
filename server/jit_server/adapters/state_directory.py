"""The server's state directory (SPEC 1.6): `pki/` with authority and server certificate, `keys/` with the secret keys.

Private files are 0600 in 0700 directories.  A file is replaced by renaming a complete one over it, never written in
place.
"""

from __future__ import annotations

import base64
import binascii
import os
from dataclasses import dataclass
from pathlib import Path

from jit_server.adapters import ca
from jit_server.adapters.ca import X509CertificateAuthority
from jit_server.adapters.secret_box import AesGcmSecretBox
from jit_server.adapters.signer import Ed25519Signer
from jit_server.errors import JitError

DATABASE = "jit.db"
_PUBLIC, _PRIVATE = 0o644, 0o600


class StateError(JitError):
    """The state directory cannot be used; the text is one line, fit to be shown."""

    code = "config"


@dataclass(frozen=True, slots=True)
class Keys:
    """Everything the server holds that nobody else may have."""

    authority: X509CertificateAuthority
    signer: Ed25519Signer
    secret_box: AesGcmSecretBox


@dataclass(frozen=True, slots=True)
class StateDirectory:
    """Where things are; nothing is read before it is asked for."""

    path: Path

    @property
    def pki(self) -> Path:
        return self.path / "pki"

    @property
    def keys(self) -> Path:
        return self.path / "keys"

    @property
    def initialised(self) -> bool:
        return (self.pki / "ca.crt").exists()

    def create_keys(self, authority: X509CertificateAuthority, names: list[str], now: int) -> None:
        """Write a new installation's keys and certificates; the directories must not exist."""
        for directory in (self.pki, self.keys):
            directory.mkdir(mode=0o700)
        write(self.pki / "ca.crt", authority.certificate().encode("ascii"), _PUBLIC)
        write(self.pki / "ca.key", authority.key_pem, _PRIVATE)
        write(self.keys / "grant.key", Ed25519Signer.generate().key_pem, _PRIVATE)
        write(self.keys / "kek.key", base64.b64encode(AesGcmSecretBox.new_key()) + b"\n", _PRIVATE)
        self.renew_server_certificate(authority, names, now)

    def load_keys(self) -> Keys:
        """Read all keys; raises `StateError` when one is missing or damaged."""
        if not self.initialised:
            raise StateError(f"{self.path} holds no installation: run `jit-server init` first")
        try:
            authority = X509CertificateAuthority.from_pem(self._read("pki/ca.crt"), self._read("pki/ca.key"))
            signer = Ed25519Signer.from_pem(self._read("keys/grant.key"))
            secret_box = AesGcmSecretBox(base64.b64decode(self._read("keys/kek.key"), validate=False))
        except (ValueError, binascii.Error) as error:
            raise StateError(f"a key in {self.path} is damaged: {error}; restore it from a backup") from None
        return Keys(authority, signer, secret_box)

    def server_certificate(self) -> tuple[bytes, bytes]:
        """The server's private key and certificate (PEM); raises `StateError`."""
        # One file for both, so that no reader ever sees a new key beside an old certificate.
        pem = self._read("pki/server.pem")
        key, marker, certificate = pem.partition(b"-----BEGIN CERTIFICATE-----")
        if not marker:
            raise StateError(f"{self.pki / 'server.pem'} is damaged; restore it from a backup")
        return key, marker + certificate

    def server_names(self) -> list[str]:
        """The names and addresses the server's certificate is for."""
        try:
            return ca.server_names(self.server_certificate()[1])
        except ValueError as error:
            raise StateError(f"the server's certificate in {self.pki} is damaged: {error}") from None

    def renew_server_certificate(self, authority: X509CertificateAuthority, names: list[str], now: int) -> None:
        """Make and store a new key and certificate for these names."""
        key = ca.new_key()
        certificate = authority.issue_server(key, names, now).encode("ascii")
        write(self.pki / "server.pem", ca.key_to_pem(key) + certificate, _PRIVATE)

    def _read(self, name: str) -> bytes:
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise StateError(f"{self.path / name} cannot be read: {error.strerror}") from None


def write(file: Path, content: bytes, mode: int) -> None:
    """Put the content in place durably, or leave what was there."""
    draft = file.with_name(f".{file.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(descriptor, mode)
            stream.write(content)
            stream.flush()
            os.fsync(descriptor)
        draft.replace(file)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync_directory(file.parent)


def sync_directory(directory: Path) -> None:
    """Make renames in the directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
