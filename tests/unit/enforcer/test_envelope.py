"""An envelope is a grant only if every bit of it is what a trusted key signed for this host (SPEC 2.1, 2.2, S1)."""

import json
from typing import Any

import pytest

from jit_enforcer import grant, verify
from jit_enforcer.errors import Denied, Expired, Malformed, Unsafe, Unverified, WrongBoot, WrongHost
from jit_enforcer.paths import Paths
from unit.enforcer.conftest import BOOT, NOW, SECOND, Signer, fields


def test_a_signed_grant_opens(paths: Paths, signer: Signer) -> None:
    found = verify.open_envelope(signer.grant(), verify.load_trust(paths))
    assert (found.grant, found.user, found.commands) == ("gnt-0000000000000001", "alice", "ALL")


def test_every_flipped_bit_is_refused(paths: Paths, signer: Signer) -> None:
    envelope, trust = signer.grant(), verify.load_trust(paths)
    for bit in range(len(envelope) * 8):
        flipped = bytearray(envelope)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Unverified):
            verify.open_envelope(bytes(flipped), trust)


def test_every_truncation_and_extension_is_refused(paths: Paths, signer: Signer) -> None:
    envelope, trust = signer.grant(), verify.load_trust(paths)
    for end in range(len(envelope)):
        with pytest.raises((Unverified, Malformed)):
            verify.open_envelope(envelope[:end], trust)
    with pytest.raises(Unverified):
        verify.open_envelope(envelope + b" ", trust)


def test_another_key_another_host_another_purpose_and_too_many_bytes_are_refused(paths: Paths, signer: Signer) -> None:
    trust = verify.load_trust(paths)
    with pytest.raises(Unverified):
        verify.open_envelope(Signer().grant(), trust)
    with pytest.raises(WrongHost):
        verify.open_envelope(signer.grant(host="hst-0000000000000009"), trust)
    with pytest.raises(Malformed):
        verify.open_envelope(signer.seal(json.dumps(fields()).encode(), b"jit other v1"), trust)
    with pytest.raises(Malformed):
        verify.open_envelope(signer.seal(b" " * verify.ENVELOPE_LIMIT), trust)


@pytest.mark.parametrize(
    ("changes", "wall_us", "refusal"),
    [
        ({}, NOW, None),
        ({}, NOW + 3598 * SECOND, None),
        ({}, NOW + 3598 * SECOND + 1, Expired),
        ({}, NOW + 3600 * SECOND, Expired),
        ({}, NOW - 1, Expired),
        ({"boot": BOOT.replace("8", "9")}, NOW, WrongBoot),
    ],
)
def test_a_grant_counts_from_its_start_to_its_end_in_its_boot(
    changes: dict[str, Any], wall_us: int, refusal: type[Denied] | None
) -> None:
    found = grant.parse(json.dumps(fields(**changes)).encode())
    if refusal is None:
        verify.check_moment(found, boot=BOOT, wall_us=wall_us)
    else:
        with pytest.raises(refusal):
            verify.check_moment(found, boot=BOOT, wall_us=wall_us)


BAD_VALUES: list[tuple[str, object]] = [
    ("grant", "gnt-000000000000000u"),
    ("grant", "../../etc/sudoers.d/x"),
    ("grant", "gnt-0000000000000001\n"),
    ("grant", 1),
    ("revision", 0),
    ("revision", True),
    ("revision", 1.0),
    ("revision", "1"),
    ("host", "gnt-0000000000000001"),
    ("boot", "x"),
    ("uid", 0),
    ("uid", -1),
    ("uid", 2**32 - 1),
    ("uid", True),
    ("user", ""),
    ("user", "a" * 257),
    ("user", "a\nb"),
    ("user", "a\x00"),
    ("user", "a\u202eb"),
    ("user", "\ud800"),
    ("user", None),
    ("run_as_user", ""),
    ("run_as_group", None),
    ("commands", "all"),
    ("commands", []),
    ("commands", {}),
    ("commands", ["/usr/bin/id"]),
    ("commands", [{"path": "/usr/bin/id"}]),
    ("commands", [{"path": "/usr/bin/id", "args": "x", "sha256": ""}]),
    ("commands", [{"path": "/usr/bin/id", "args": None, "sha256": "", "more": 1}]),
    ("commands", [{"path": "/usr/bin/id", "args": None, "sha256": ""}] * 201),
    ("shell", 1),
    ("shell", None),
    ("record", "video"),
    ("role", ""),
    ("role", "r" * 129),
    ("not_before", NOW + 7200 * SECOND),
    ("not_after", -5),
    ("not_after", 10**30),
    ("remaining_s", 0),
    ("until", NOW + 3600 * SECOND - 1),
    ("until", 253_402_300_799_000_001),
    ("until", True),
    ("until", None),
    ("once", 0),
    ("once", None),
    ("session", -1),
    ("session", 2**32 - 1),
    ("session", True),
    ("session", "7"),
]


@pytest.mark.parametrize(("key", "value"), BAD_VALUES)
def test_a_signed_grant_with_a_value_out_of_the_table_is_refused(key: str, value: object) -> None:
    with pytest.raises(Malformed):
        grant.parse(json.dumps(fields(**{key: value})).encode())


@pytest.mark.parametrize("key", fields())
def test_a_missing_and_an_unknown_key_are_refused(key: str) -> None:
    less = fields()
    del less[key]
    for wrong in (less, fields() | {"extra": 1}):
        with pytest.raises(Malformed):
            grant.parse(json.dumps(wrong).encode())


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"a": NaN}',
        b"\xef\xbb\xbf" + json.dumps(fields()).encode(),
        json.dumps(fields()).encode() + b"{}",
        json.dumps(fields()).encode()[:-1] + b', "uid": 4002}',
        json.dumps(fields()).encode("utf-16"),
        b'{"a": ' + b"9" * 5000 + b"}",
    ],
)
def test_what_is_not_one_strict_object_is_refused(text: bytes) -> None:
    with pytest.raises(Malformed):
        grant.parse(text)


def test_a_shell_goes_only_with_all_commands() -> None:
    command = {"path": "/usr/bin/id", "args": None, "sha256": ""}
    assert grant.parse(json.dumps(fields(shell=True)).encode()).shell
    with pytest.raises(Malformed):
        grant.parse(json.dumps(fields(shell=True, commands=[command])).encode())


@pytest.mark.parametrize(
    "content",
    ["", "{}", '{"host": "hst-1", "grant_keys": []}', '{"host": "hst-0000000000000000", "grant_keys": ["AA"]}'],
)
def test_an_unreadable_trust_file_is_no_trust(paths: Paths, content: str) -> None:
    verify.load_trust(paths)
    paths.trust.write_text(content)
    with pytest.raises(Unsafe):
        verify.load_trust(paths)


def test_a_trust_file_that_others_may_write_is_no_trust(paths: Paths) -> None:
    paths.trust.chmod(0o664)
    with pytest.raises(Unsafe):
        verify.load_trust(paths)
    paths.trust.chmod(0o644)
    real = paths.trust.rename(paths.trust.with_suffix(".real"))
    paths.trust.symlink_to(real)
    with pytest.raises(Unsafe):
        verify.load_trust(paths)
