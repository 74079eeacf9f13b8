"""From an envelope to a grant that is meant for this host, this boot and this moment (SPEC 2.1, 2.4, S1, S11).

Bytes first, parse after: nothing of the message is looked at before its signature holds.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass

from jit_enforcer import grant, sodium, strictjson, trustedfile
from jit_enforcer.errors import Denied, Expired, Malformed, Unsafe, Unverified, WrongBoot, WrongHost
from jit_enforcer.paths import Paths

ENVELOPE_LIMIT = 32_768
_KEY_ID = 8
_MESSAGE = _KEY_ID + sodium.SIGNATURE_BYTES
_TAG = b"jit grant v1"
_PREFIX = len(_TAG).to_bytes(2, "big") + _TAG


@dataclass(frozen=True, slots=True)
class Trust:
    """Who this host is, and whose grants it accepts: public keys by key id."""

    host: str
    keys: Mapping[bytes, bytes]


def load_trust(paths: Paths) -> Trust:
    """Read what enrolment wrote.  Raises `Unsafe`."""
    try:
        fields = strictjson.parse_object(trustedfile.read(paths.trust, paths.owner))
        host, texts = fields["host"], fields["grant_keys"]
        keys = [base64.b64decode(text, validate=True) for text in texts]
        usable = grant.HOST_ID.fullmatch(host) and all(len(key) == sodium.KEY_BYTES for key in keys)
    except Unsafe:
        raise
    except (Denied, KeyError, TypeError, ValueError) as e:
        raise Unsafe(f"{paths.trust} cannot be read: enrol this host again") from e
    if not usable or not isinstance(texts, list):
        raise Unsafe(f"{paths.trust} cannot be read: enrol this host again")
    return Trust(host, {sodium.sha256(key)[:_KEY_ID]: key for key in keys})


def message_of(envelope: bytes) -> grant.Grant:
    """The grant in an envelope whose signature was checked before."""
    message = envelope[_MESSAGE:]
    if not message.startswith(_PREFIX):
        raise Malformed("not a grant")
    return grant.parse(message[len(_PREFIX) :])


def open_envelope(untrusted: bytes, trust: Trust) -> grant.Grant:
    """The grant that a trusted key signed for this host.  Raises `Malformed`, `Unverified` or `WrongHost`."""
    if not _MESSAGE + len(_PREFIX) < len(untrusted) <= ENVELOPE_LIMIT:
        raise Malformed(f"envelope of {len(untrusted)} bytes, limit {ENVELOPE_LIMIT}")
    key = trust.keys.get(untrusted[:_KEY_ID])
    if key is None:
        raise Unverified("signed with a key this host does not trust")
    sodium.verify(untrusted[_KEY_ID:_MESSAGE], untrusted[_MESSAGE:], key)
    found = message_of(untrusted)
    if found.host != trust.host:
        raise WrongHost(f"{found.grant} is for another host")
    return found


def check_moment(found: grant.Grant, *, boot: str, wall_us: int) -> None:
    """Raise `WrongBoot` or `Expired` unless the grant is for this boot and in force now.

    Less than two seconds left is over: PID 1 needs the last one to end the scope without us (REVIEW 6).
    """
    if found.boot != boot:
        raise WrongBoot(f"{found.grant} is for another boot of this host")
    if found.not_before > wall_us:
        raise Expired(f"{found.grant} has not begun: check the clocks of host and server")
    if found.not_after - wall_us < 2_000_000:
        raise Expired(f"{found.grant} is over")
