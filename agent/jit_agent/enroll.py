"""Enrolment: a one-time token and the fingerprint of the server's CA against an identity of our own (SPEC 1.3-1.5).

Nothing is believed before the fingerprint was found: the server's chain is fetched without trust, the certificate with
the pinned fingerprint becomes the only root, and then the token is sent, over a connection that root vouches for.  What
can be checked on this host is checked before the token is used up.  /etc/jit/agent.toml is written last: while it is
missing the host is not enrolled, whatever else is there.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import pwd
import re
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jit_agent import keys, server_link
from jit_agent.config import CONFIG_PATH, Enrolment, split_address
from jit_agent.errors import AgentError, Malformed, Misconfigured, ServerUnavailable
from jit_agent.identity import CA, CERTIFICATE, KEY, load, sync_directory, write_durably
from jit_agent.model import Enrolled

CONNECT_S = 10.0
CALL_S = 20.0
UNITS = ("jit-enforcer.service", "jit-agent.service")
_FINGERPRINT = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Places:
    """Where enrolment writes; `account` owns the state directory and everything in it."""

    config: Path = CONFIG_PATH
    trust: Path = Path("/etc/jit/trust.json")
    state: Path = Path("/var/lib/jit-agent")
    account: str = "jit-agent"


def enroll(places: Places, *, server: str, ca: str, token: str, force: bool) -> Enrolment:
    """Enrol this host; raises `AgentError`, and then nothing of an older enrolment is changed."""
    host, port = split_address(server)
    fingerprint = ca.strip().lower()
    if not _FINGERPRINT.fullmatch(fingerprint):
        raise AgentError("--ca is not sha256: and 64 hexadecimal digits", code="usage")
    owner = _check_host(places, force=force)
    root = _pinned_root(fetch_chain(host, port), fingerprint, server)
    key, csr = keys.new_key_and_csr()
    answer = server_link.enroll(server, root, token, csr.decode("ascii"), timeout_s=CALL_S)
    split_address(answer.server)
    if answer.ca.split() != root.decode("ascii").split():
        raise Malformed("the server answered with another CA than the pinned one")
    try:
        _write(places, owner, key, answer)
    except OSError as e:
        raise Misconfigured(
            f"{e.filename}: {e.strerror}", hint="the token is used up; make room, then enrol with a new one and --force"
        ) from e
    return Enrolment(answer.server, answer.host_id, answer.host_name)


def fetch_chain(host: str, port: int) -> list[bytes]:
    """The certificates the server shows, DER, unverified; raises `ServerUnavailable`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    try:
        with (
            socket.create_connection((host, port), CONNECT_S) as plain,
            context.wrap_socket(plain, server_hostname=host) as tls,
        ):
            return _unverified_chain(tls)
    except (OSError, ValueError) as e:
        raise ServerUnavailable(f"{host}:{port} does not answer: {e}") from e


def restart_services() -> int:
    """Let the running services see the enrolment; a host without systemd has none, and that is fine."""
    if not Path("/run/systemd/system").is_dir():
        return 0
    done = subprocess.run(["/usr/bin/systemctl", "try-restart", *UNITS], check=False)
    if done.returncode:
        sys.stderr.write(f"hint: restart the services by hand: systemctl restart {' '.join(UNITS)}\n")
    return 0


def _unverified_chain(tls: ssl.SSLSocket) -> list[bytes]:
    # Public from Python 3.13 on; before, only the object below the socket has it.
    public = getattr(tls, "get_unverified_chain", None)
    if public is not None:
        return list(public())
    chain: Sequence[ssl._ssl.Certificate] = tls._sslobj.get_unverified_chain() or ()  # type: ignore[attr-defined, name-defined]
    return [ssl.PEM_cert_to_DER_cert(certificate.public_bytes()) for certificate in chain]


def _check_host(places: Places, *, force: bool) -> pwd.struct_passwd:
    """What would make enrolment fail on this host, found before the token is used up."""
    if places.config.exists() and not force:
        raise AgentError(
            f"this host is enrolled already ({places.config})", code="conflict", hint="to replace that, add --force"
        )
    try:
        owner = pwd.getpwnam(places.account)
    except KeyError:
        raise Misconfigured(
            f"there is no account {places.account}", hint="install the jit-agent package first"
        ) from None
    for directory in (places.config.parent, places.trust.parent, places.state):
        if not directory.is_dir():
            raise Misconfigured(f"{directory} is missing", hint="install the jit-agent package first")
        if not os.access(directory, os.W_OK):
            raise AgentError(f"{directory} is not writable", code="denied", hint="enrol as root")
    if os.geteuid() not in (0, owner.pw_uid):
        raise AgentError("only root can enrol a host", code="denied", hint="run it with sudo")
    return owner


def _pinned_root(chain: Sequence[bytes], fingerprint: str, server: str) -> bytes:
    """The chain's certificate with the pinned fingerprint, PEM; it must be a CA, or anything it shows would do."""
    from cryptography import x509

    for der in chain:
        if hashlib.sha256(der).hexdigest() == fingerprint[7:]:
            certificate = x509.load_der_x509_certificate(der)
            with contextlib.suppress(x509.ExtensionNotFound):
                if certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
                    return ssl.DER_cert_to_PEM_cert(der).encode("ascii")
            raise AgentError("--ca names a certificate that is not a CA", code="invalid")
    raise AgentError(
        f"{server} does not show the CA certificate {fingerprint[:23]}…",
        code="unauthenticated",
        hint="compare --ca with what jitctl printed; if they are equal, this is not your server",
    )


def _write(places: Places, owner: pwd.struct_passwd, key: bytes, answer: Enrolled) -> None:
    """Identity first, then whom the enforcer believes, then the file that makes it count."""
    pki, draft = places.state / "pki", places.state / "pki.new"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(0o700)
    for name, content in ((KEY, key), (CERTIFICATE, answer.certificate.encode()), (CA, answer.ca.encode())):
        write_durably(draft / name, content, 0o600)
        os.chown(draft / name, owner.pw_uid, owner.pw_gid)
    draft.chmod(0o700)
    os.chown(draft, owner.pw_uid, owner.pw_gid)
    sync_directory(draft)
    # A certificate that is not for our key is found here, while the old identity is still in place.
    load(draft)
    places.config.unlink(missing_ok=True)
    shutil.rmtree(pki, ignore_errors=True)
    draft.rename(pki)
    sync_directory(places.state)
    trusted = [base64.b64encode(grant_key).decode("ascii") for grant_key in answer.grant_keys]
    trust = json.dumps({"host": answer.host_id, "grant_keys": trusted}) + "\n"
    _put(places.trust, trust)
    _put(places.config, _toml(answer))


def _put(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.new")
    write_durably(draft, text.encode(), 0o644)
    draft.rename(path)
    sync_directory(path.parent)


def _toml(answer: Enrolled) -> str:
    # A JSON string is a TOML basic string too; what is in these was checked to be printable.
    lines = ("server", answer.server), ("host_id", answer.host_id), ("host_name", answer.host_name)
    text = "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in lines)
    return f"# Written by jit-agent enroll.\n{text}"
