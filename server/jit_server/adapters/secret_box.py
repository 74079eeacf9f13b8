"""Encrypts what must lie in the database but not be readable there: the seeds of second factors.

AES-256-GCM with a random 96-bit nonce.  The associated data names the row the secret belongs to, so that whoever can
write to the database cannot move one person's seed to another (S9, S11).  Layout: version ‖ nonce ‖ ciphertext and tag.
"""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from jit_server.errors import Unavailable

KEY_BYTES = 32
NONCE_BYTES = 12
_VERSION = b"\x01"


class AesGcmSecretBox:
    """Seals and opens small secrets with one key."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"the key-encryption key has {len(key)} bytes instead of {KEY_BYTES}")
        self._aead = AESGCM(key)

    @staticmethod
    def new_key() -> bytes:
        return AESGCM.generate_key(bit_length=KEY_BYTES * 8)

    def seal(self, secret: bytes, context: str) -> bytes:
        """Encrypt `secret` for the row that `context` names."""
        nonce = os.urandom(NONCE_BYTES)
        return _VERSION + nonce + self._aead.encrypt(nonce, secret, _VERSION + context.encode())

    def open(self, sealed: bytes, context: str) -> bytes:
        """Undo `seal`; raises `Unavailable` for other bytes, another key or another row."""
        nonce, ciphertext = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
        if sealed[:1] != _VERSION or len(nonce) != NONCE_BYTES:
            raise Unavailable("the stored secret is damaged")
        try:
            return self._aead.decrypt(nonce, ciphertext, _VERSION + context.encode())
        except InvalidTag:
            raise Unavailable("the stored secret is damaged, or belongs to another key or row") from None
