"""Signs grants with Ed25519 and wraps them in the envelope that enforcers accept (SPEC 2.1).

The domain tag is part of the signed message, so no signature made here can ever be taken for one of another purpose.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEY_ID_BYTES = 8


class Ed25519Signer:
    """The server's grant-signing key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self._public_key = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self._key_id = hashlib.sha256(self._public_key).digest()[:KEY_ID_BYTES]

    @classmethod
    def generate(cls) -> Ed25519Signer:
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_pem(cls, pem: bytes) -> Ed25519Signer:
        """Read what `key_pem` gave; raises ValueError for anything else."""
        key = serialization.load_pem_private_key(pem, password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError("the grant-signing key is not an Ed25519 key")  # noqa: TRY004 (a file's content)
        return cls(key)

    @property
    def key_pem(self) -> bytes:
        """The private key as unencrypted PKCS #8; the file's mode protects it."""
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def public_keys(self) -> Sequence[bytes]:
        """The raw keys that hosts are to trust."""
        return (self._public_key,)

    def sign(self, message: bytes) -> bytes:
        """The envelope: key id ‖ signature ‖ message."""
        return self._key_id + self._key.sign(message) + message
