"""The bootstrap listener: a password and a code against a certificate (SPEC 1.3).

The private key is made here and never leaves this machine.  What comes back
is used only if it certifies exactly that key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jit_protos.v1 import people_pb2
from jit_protos.v1.people_pb2_grpc import AccessStub

from . import channel, model, state, times, wire
from .errors import CtlError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey


def login(server: str, ca: bytes, user: str, *, password: str, otp: str, timeout: float) -> state.Session:
    """Get a certificate from HOST:PORT; raise `CtlError` (unauthenticated) for a wrong password or code."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    # The server decides who the certificate names (SPEC 1.3), so the subject stays empty.
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    ask = people_pb2.LoginRequest(
        user=user, password=password, otp=otp, csr=csr.public_bytes(serialization.Encoding.PEM).decode("ascii")
    )
    with channel.secure(server, ca) as connection, channel.told(server):
        answer = wire.login(AccessStub(connection).Login(ask, timeout=timeout))
    _check(answer, key)
    return state.Session(
        server=answer.server,
        user=user,
        expires_at=times.rfc3339(answer.expires_at),
        key=key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode("ascii"),
        certificate=answer.certificate,
    )


def _check(answer: model.Login, key: EllipticCurvePrivateKey) -> None:
    from cryptography import x509

    try:
        certificate = x509.load_pem_x509_certificate(answer.certificate.encode())
        certifies_us = certificate.public_key() == key.public_key()
    except ValueError:
        certifies_us = False
    if not certifies_us:
        raise CtlError("failed", "the server's certificate is not for the key that was sent", "try to log in again")
    if certificate.not_valid_after_utc <= times.now():
        raise CtlError("failed", "the new certificate is already over", "check the clock of this machine")


def begin_totp(server: str, ca: bytes, user: str, token: str, timeout: float) -> model.TotpOffer:
    """Use a one-time token to get the secret of a second factor."""
    ask = people_pb2.BeginTotpRequest(user=user, token=token)
    with channel.secure(server, ca) as connection, channel.told(server):
        return wire.totp_offer(AccessStub(connection).BeginTotp(ask, timeout=timeout))


def confirm_totp(server: str, ca: bytes, user: str, *, token: str, otp: str, timeout: float) -> None:
    """Prove with one code that the secret arrived; only then the factor counts."""
    ask = people_pb2.ConfirmTotpRequest(user=user, token=token, otp=otp)
    with channel.secure(server, ca) as connection, channel.told(server):
        AccessStub(connection).ConfirmTotp(ask, timeout=timeout)
