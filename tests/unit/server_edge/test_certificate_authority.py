"""SPEC 1.3: what the certificate authority signs, and what it refuses to."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store

from jit_server import errors
from jit_server.adapters import ca

NOW = 1_790_000_000_000_000
HOST_ID = "hst-0123456789abcdef"
USER_ID = "usr-0123456789abcdef"
DAY_US = 86_400_000_000


def pem(csr: x509.CertificateSigningRequest) -> str:
    return csr.public_bytes(serialization.Encoding.PEM).decode()


def csr_for(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey, *sans: x509.GeneralName
) -> x509.CertificateSigningRequest:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "root of all hosts")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    if sans:
        builder = builder.add_extension(x509.SubjectAlternativeName(sans), critical=False)
    return builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())


@pytest.fixture(scope="module")
def authority() -> ca.X509CertificateAuthority:
    return ca.create("example.org", NOW)


def test_a_host_gets_a_certificate_for_its_id_and_nothing_it_asked_for(authority: ca.X509CertificateAuthority) -> None:
    asked = x509.UniformResourceIdentifier("spiffe://example.org/host/hst-zzzzzzzzzzzzzzzz")
    csr = pem(csr_for(ca.new_key(), asked, x509.DNSName("server.example.org")))
    issued = authority.issue_host(csr, HOST_ID, NOW)
    certificate = x509.load_pem_x509_certificate(issued.pem.encode())
    sans = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in sans] == [f"spiffe://example.org/host/{HOST_ID}"]
    assert certificate.subject.rfc4514_string() == f"CN={HOST_ID}"
    assert issued.expires_at == NOW + 7 * DAY_US
    assert certificate.serial_number.bit_length() == 128
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert not constraints.ca


def test_a_person_gets_twelve_hours_and_a_client_certificate_only(authority: ca.X509CertificateAuthority) -> None:
    issued = authority.issue_user(pem(csr_for(ca.new_key())), USER_ID, NOW)
    certificate = x509.load_pem_x509_certificate(issued.pem.encode())
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert issued.expires_at == NOW + DAY_US // 2


def test_certificates_verify_by_an_independent_verifier(authority: ca.X509CertificateAuthority) -> None:
    root = x509.load_pem_x509_certificate(authority.certificate().encode())
    issued = authority.issue_host(pem(csr_for(ca.new_key())), HOST_ID, NOW)
    leaf = x509.load_pem_x509_certificate(issued.pem.encode())
    verifier = PolicyBuilder().store(Store([root])).time(leaf.not_valid_before_utc).build_client_verifier()
    verified = verifier.verify(leaf, [])
    assert verified.subjects is not None
    assert [name.value for name in verified.subjects] == [f"spiffe://example.org/host/{HOST_ID}"]


def test_serial_numbers_are_128_random_bits(authority: ca.X509CertificateAuthority) -> None:
    serials = {ca.random_serial() for _ in range(100)}
    assert len(serials) == 100
    assert {serial.bit_length() for serial in serials} == {128}


@pytest.mark.parametrize(
    "key",
    [
        ed25519.Ed25519PrivateKey.generate(),
        ec.generate_private_key(ec.SECP384R1()),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=["ed25519", "p384", "rsa"],
)
def test_any_other_key_is_refused(
    authority: ca.X509CertificateAuthority,
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey,
) -> None:
    with pytest.raises(errors.Invalid, match="P-256"):
        authority.issue_host(pem(csr_for(key)), HOST_ID, NOW)


def test_a_request_for_somebody_elses_key_is_refused(authority: ca.X509CertificateAuthority) -> None:
    """The signature must be by the key itself: swap the key inside a signed request."""
    mine, theirs = ca.new_key(), ca.new_key()
    spki = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    der = csr_for(mine).public_bytes(serialization.Encoding.DER)
    forged = der.replace(mine.public_key().public_bytes(*spki), theirs.public_key().public_bytes(*spki))
    with pytest.raises(errors.Invalid, match="not signed by its own key"):
        authority.issue_host(pem(x509.load_der_x509_csr(forged)), HOST_ID, NOW)


@pytest.mark.parametrize("text", ["", "no PEM", "-----BEGIN CERTIFICATE REQUEST-----\n", "é", "x" * 10_000])
def test_what_is_no_request_is_refused_in_one_line(authority: ca.X509CertificateAuthority, text: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        authority.issue_user(text, USER_ID, NOW)
    assert "\n" not in str(caught.value)


def test_the_server_certificate_keeps_its_names_and_is_renewed_after_two_thirds(
    authority: ca.X509CertificateAuthority,
) -> None:
    names = ["jit.example.org", "192.0.2.7", "2001:db8::7"]
    certificate = authority.issue_server(ca.new_key(), names, NOW).encode()
    assert ca.server_names(certificate) == names
    assert not ca.renewal_due(certificate, NOW + 59 * DAY_US)
    assert ca.renewal_due(certificate, NOW + 61 * DAY_US)


def test_the_authority_survives_being_written_and_read(authority: ca.X509CertificateAuthority) -> None:
    read = ca.X509CertificateAuthority.from_pem(authority.certificate().encode(), authority.key_pem)
    assert (read.domain, read.fingerprint()) == ("example.org", authority.fingerprint())
    other = ca.create("example.org", NOW)
    with pytest.raises(ValueError, match="belong together"):
        ca.X509CertificateAuthority.from_pem(authority.certificate().encode(), other.key_pem)
