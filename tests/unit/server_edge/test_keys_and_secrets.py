"""SPEC 2.1: the envelope; and secrets at rest."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from jit_server.adapters.qr import qr_lines
from jit_server.adapters.secret_box import AesGcmSecretBox
from jit_server.adapters.signer import Ed25519Signer
from jit_server.errors import Unavailable

MESSAGE = b"\x00\x0cjit grant v1{}"


def test_the_envelope_is_key_id_signature_message() -> None:
    signer = Ed25519Signer.generate()
    envelope = signer.sign(MESSAGE)
    assert envelope[:8] == hashlib.sha256(signer.public_keys()[0]).digest()[:8]
    assert envelope[72:] == MESSAGE
    Ed25519PublicKey.from_public_bytes(signer.public_keys()[0]).verify(envelope[8:72], envelope[72:])
    with pytest.raises(InvalidSignature):
        Ed25519PublicKey.from_public_bytes(signer.public_keys()[0]).verify(envelope[8:72], envelope[72:] + b" ")


def test_a_signing_key_read_back_is_the_same_key() -> None:
    signer = Ed25519Signer.generate()
    assert Ed25519Signer.from_pem(signer.key_pem).sign(MESSAGE) == signer.sign(MESSAGE)


def test_a_secret_opens_only_for_its_row_with_its_key_unchanged() -> None:
    key = AesGcmSecretBox.new_key()
    box = AesGcmSecretBox(key)
    sealed = box.seal(b"seed", "mfa|usr-1")
    assert b"seed" not in sealed
    assert box.open(sealed, "mfa|usr-1") == b"seed"
    with pytest.raises(Unavailable):
        box.open(sealed, "mfa|usr-2")
    with pytest.raises(Unavailable):
        AesGcmSecretBox(AesGcmSecretBox.new_key()).open(sealed, "mfa|usr-1")
    for position in range(len(sealed)):
        damaged = bytes(byte ^ (1 if index == position else 0) for index, byte in enumerate(sealed))
        with pytest.raises(Unavailable):
            box.open(damaged, "mfa|usr-1")


def test_a_truncated_secret_is_damaged_not_a_crash() -> None:
    box = AesGcmSecretBox(AesGcmSecretBox.new_key())
    sealed = box.seal(b"seed", "row")
    for length in range(len(sealed)):
        with pytest.raises(Unavailable):
            box.open(sealed[:length], "row")


def test_a_secret_is_sealed_differently_every_time() -> None:
    box = AesGcmSecretBox(AesGcmSecretBox.new_key())
    assert box.seal(b"seed", "row") != box.seal(b"seed", "row")


def test_a_qr_code_is_drawn_with_half_blocks_in_lines_of_one_width() -> None:
    lines = qr_lines("otpauth://totp/jit:alice?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=jit")
    assert set("".join(lines)) <= set(" ▀▄█")
    assert len({len(line) for line in lines}) == 1
    assert lines[0] == "█" * len(lines[0])
