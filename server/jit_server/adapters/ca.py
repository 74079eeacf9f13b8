"""The built-in certificate authority (SPEC 1.3).

Keys are ECDSA P-256: Ed25519 leaves fail in gRPC.  What a certificate says is decided here and by the caller, never by
the request: from a CSR only the public key is taken, after its type and its proof of possession were checked.  The CA
certificate carries the trust domain as its one URI name, so the state directory alone says who we are.
"""

from __future__ import annotations

import datetime
import ipaddress
import secrets
from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from jit_server import errors
from jit_server.ports import IssuedCertificate

CA_LIFETIME_S = 10 * 365 * 86_400
SERVER_LIFETIME_S = 90 * 86_400
HOST_LIFETIME_S = 7 * 86_400
USER_LIFETIME_S = 12 * 3_600
# A peer's clock may lag; one that lags more gets no grants anyway (SPEC 5.1).
BACKDATE_S = 300
MAX_CSR_CHARACTERS = 8_192


class X509CertificateAuthority:
    """Issues the certificates of hosts, people and the server itself."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate
        self._key = key
        self.domain = domain_of(certificate)

    @classmethod
    def from_pem(cls, certificate: bytes, key: bytes) -> X509CertificateAuthority:
        """Read what `create` wrote; raises ValueError for anything else."""
        private = serialization.load_pem_private_key(key, password=None)
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise ValueError("the key of the certificate authority is not an ECDSA key")  # noqa: TRY004 (a file's content)
        authority = cls(x509.load_pem_x509_certificate(certificate), private)
        if authority._certificate.public_key() != private.public_key():
            raise ValueError("certificate and key of the certificate authority do not belong together")
        return authority

    def certificate(self) -> str:
        return self._certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")

    @property
    def key_pem(self) -> bytes:
        return key_to_pem(self._key)

    def fingerprint(self) -> str:
        """`sha256:HEX` of the CA certificate: what hosts and people pin."""
        return f"sha256:{self._certificate.fingerprint(hashes.SHA256()).hex()}"

    def issue_host(self, untrusted_csr: str, host_id: str, now: int) -> IssuedCertificate:
        """A client certificate for a host; raises `errors.Invalid` when the CSR will not do."""
        return self._issue_client(untrusted_csr, f"host/{host_id}", HOST_LIFETIME_S, now)

    def issue_user(self, untrusted_csr: str, user_id: str, now: int) -> IssuedCertificate:
        """A client certificate for a person; raises `errors.Invalid` when the CSR will not do."""
        return self._issue_client(untrusted_csr, f"user/{user_id}", USER_LIFETIME_S, now)

    def issue_server(self, key: ec.EllipticCurvePrivateKey, names: Sequence[str], now: int) -> str:
        """The server's own certificate (PEM) for these DNS names and IP addresses."""
        sans = x509.SubjectAlternativeName([_general_name(name) for name in names])
        usage = ExtendedKeyUsageOID.SERVER_AUTH
        return _pem(
            self._sign(key.public_key(), "jit-server", sans, usage=usage, lifetime_s=SERVER_LIFETIME_S, now=now)
        )

    def _issue_client(self, untrusted_csr: str, path: str, lifetime_s: int, now: int) -> IssuedCertificate:
        public_key = _public_key_of_csr(untrusted_csr)
        sans = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"spiffe://{self.domain}/{path}")])
        usage = ExtendedKeyUsageOID.CLIENT_AUTH
        name = path.partition("/")[2]
        certificate = self._sign(public_key, name, sans, usage=usage, lifetime_s=lifetime_s, now=now)
        return IssuedCertificate(
            pem=_pem(certificate),
            expires_at=int(certificate.not_valid_after_utc.timestamp()) * 1_000_000,
        )

    def _sign(
        self,
        public_key: ec.EllipticCurvePublicKey,
        common_name: str,
        sans: x509.SubjectAlternativeName,
        *,
        usage: x509.ObjectIdentifier,
        lifetime_s: int,
        now: int,
    ) -> x509.Certificate:
        start, end = _validity(now, lifetime_s)
        issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(_name(common_name))
            .issuer_name(self._certificate.subject)
            .public_key(public_key)
            .serial_number(random_serial())
            .not_valid_before(start)
            .not_valid_after(min(end, self._certificate.not_valid_after_utc))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(sans, critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(issuer_key, critical=False)
            .sign(self._key, hashes.SHA256())
        )


def create(domain: str, now: int) -> X509CertificateAuthority:
    """A new certificate authority for the trust domain, good for ten years."""
    key = new_key()
    start, end = _validity(now, CA_LIFETIME_S)
    name = _name(f"jit {domain} certificate authority")
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(random_serial())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(ca=True), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"spiffe://{domain}")]), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return X509CertificateAuthority(certificate, key)


def domain_of(certificate: x509.Certificate) -> str:
    """The trust domain a CA certificate of ours names; raises ValueError when it names none."""
    try:
        sans = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise ValueError("the CA certificate names no trust domain") from None
    match sans.get_values_for_type(x509.UniformResourceIdentifier):
        case [uri] if uri.startswith("spiffe://") and "/" not in uri.removeprefix("spiffe://"):
            return uri.removeprefix("spiffe://")
        case _:
            raise ValueError("the CA certificate names no trust domain")


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def key_to_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The private key as unencrypted PKCS #8; the file's mode protects it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def random_serial() -> int:
    """128 random bits, positive and never zero (RFC 5280 4.1.2.2)."""
    return secrets.randbits(127) | (1 << 127)


def server_names(certificate_pem: bytes) -> list[str]:
    """The DNS names and addresses of a server certificate, in their order."""
    certificate = x509.load_pem_x509_certificate(certificate_pem)
    sans = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in sans if isinstance(name, x509.DNSName | x509.IPAddress)]


def renewal_due(certificate_pem: bytes, now: int) -> bool:
    """True once two thirds of the certificate's life are over."""
    certificate = x509.load_pem_x509_certificate(certificate_pem)
    start = certificate.not_valid_before_utc.timestamp()
    end = certificate.not_valid_after_utc.timestamp()
    return now / 1_000_000 >= start + (end - start) * 2 / 3


def _public_key_of_csr(untrusted_csr: str) -> ec.EllipticCurvePublicKey:
    if len(untrusted_csr) > MAX_CSR_CHARACTERS:
        raise errors.Invalid(
            f"certificate request of {len(untrusted_csr)} characters, the limit is {MAX_CSR_CHARACTERS}"
        )
    try:
        csr = x509.load_pem_x509_csr(untrusted_csr.encode("ascii"))
        key = csr.public_key()
        proved = csr.is_signature_valid
    except (ValueError, TypeError, InvalidSignature, x509.UnsupportedGeneralNameType) as error:
        raise errors.Invalid("the certificate request cannot be read: send a PEM PKCS #10 request") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise errors.Invalid("the certificate request must be for an ECDSA P-256 key")
    if not proved:
        raise errors.Invalid("the certificate request is not signed by its own key")
    return key


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _name(common_name: str) -> x509.Name:
    # X.520 bounds a common name at 64 characters; peers read the SAN only.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _validity(now: int, lifetime_s: int) -> tuple[datetime.datetime, datetime.datetime]:
    issued = datetime.datetime.fromtimestamp(now // 1_000_000, tz=datetime.UTC)
    return issued - datetime.timedelta(seconds=BACKDATE_S), issued + datetime.timedelta(seconds=lifetime_s)


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")
