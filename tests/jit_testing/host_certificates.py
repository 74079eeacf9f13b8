"""A certificate authority for tests of the host's side: hours instead of years, and any life a test wants."""

from __future__ import annotations

import hashlib
import ipaddress
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


class TestAuthority:
    """Issues what SPEC 1.3 describes."""

    __test__ = False

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "jit test authority")])
        now = datetime.now(UTC)
        self._certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def pem(self) -> bytes:
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def fingerprint(self) -> str:
        return "sha256:" + hashlib.sha256(self._certificate.public_bytes(serialization.Encoding.DER)).hexdigest()

    def server(self) -> tuple[bytes, bytes]:
        """(key, certificate) of a server on 127.0.0.1 and localhost."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        certificate = self._sign(key.public_key(), names, timedelta(hours=1), timedelta(hours=2))
        return key_pem(key), certificate

    def host(
        self,
        csr: bytes,
        host_id: str,
        *,
        age: timedelta = timedelta(minutes=5),
        left: timedelta = timedelta(hours=2),
    ) -> bytes:
        """A host's certificate for the key of a certificate request."""
        public = x509.load_pem_x509_csr(csr).public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey)
        name = x509.UniformResourceIdentifier(f"spiffe://example.test/host/{host_id}")
        return self._sign(public, [name], age, left)

    def _sign(
        self, public: ec.EllipticCurvePublicKey, names: list[x509.GeneralName], age: timedelta, left: timedelta
    ) -> bytes:
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self._certificate.subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - age)
            .not_valid_after(now + left)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM)


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
