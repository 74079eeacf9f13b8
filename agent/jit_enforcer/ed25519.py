"""Ed25519 by Debian's libsodium, which rejects small-order keys and non-canonical signatures by itself."""

import ctypes
import functools

from jit_enforcer.errors import Unsafe, Unverified

KEY_BYTES = 32
SIGNATURE_BYTES = 64


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
    return library


def verify(signature: bytes, message: bytes, key: bytes) -> None:
    """Return if `key` signed `message`; raise `Unverified` if not."""
    if len(key) != KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        raise Unverified("signature or key of the wrong length")
    if _libsodium().crypto_sign_ed25519_verify_detached(signature, message, len(message), key) != 0:
        raise Unverified("the signature does not hold")
