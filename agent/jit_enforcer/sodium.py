"""Ed25519 and SHA-256 by Debian's libsodium; it rejects small-order keys and non-canonical signatures by itself.

hashlib would bring the whole of OpenSSL into the root process for one hash.
"""

import ctypes
import functools

from jit_enforcer.errors import Unsafe, Unverified

KEY_BYTES = 32
SIGNATURE_BYTES = 64
_HASH_BYTES = 32


@functools.cache
def _libsodium() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libsodium.so.23")
    except OSError as e:
        raise Unsafe("libsodium.so.23 is missing: install libsodium23") from e
    if library.sodium_init() < 0:
        raise Unsafe("libsodium does not start")
    verify = library.crypto_sign_ed25519_verify_detached
    verify.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulonglong, ctypes.c_char_p]
    verify.restype = ctypes.c_int
    digest = library.crypto_hash_sha256
    digest.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulonglong]
    digest.restype = ctypes.c_int
    return library


def verify(signature: bytes, message: bytes, key: bytes) -> None:
    """Return if `key` signed `message`; raise `Unverified` if not."""
    if len(key) != KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        raise Unverified("signature or key of the wrong length")
    if _libsodium().crypto_sign_ed25519_verify_detached(signature, message, len(message), key) != 0:
        raise Unverified("the signature does not hold")


def sha256(content: bytes) -> bytes:
    """The 32 bytes of the hash.  Raises `Unsafe` if libsodium cannot be used."""
    digest = ctypes.create_string_buffer(_HASH_BYTES)
    if _libsodium().crypto_hash_sha256(digest, content, len(content)) != 0:
        raise Unsafe("libsodium does not hash")
    return digest.raw
