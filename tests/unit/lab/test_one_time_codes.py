"""The lab's authenticator: RFC 6238 codes, each given out once."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest

from lab import otp
from lab.places import Places
from lab.process import LabError

RFC_SECRET = base64.b32encode(b"12345678901234567890").decode()


# RFC 6238, appendix B: the last six of the eight digits.
@pytest.mark.parametrize(("second", "digits"), [(59, "287082"), (1111111109, "081804"), (20000000000, "353130")])
def test_codes_are_those_of_the_rfc(second: int, digits: str) -> None:
    assert otp.code(RFC_SECRET, second // otp.STEP_S) == digits


@pytest.mark.parametrize("secret", [RFC_SECRET, "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", "MFRGGZDFMZTWQ2LKMFRGGZDF"])
def test_codes_are_those_of_oathtool(secret: str) -> None:
    now = "2026-11-23 11:00:00 UTC"
    said = subprocess.run(
        ["oathtool", "--totp", "--base32", "--now", now, secret], capture_output=True, text=True, check=True
    )
    assert otp.code(secret, 1795431600 // otp.STEP_S) == said.stdout.strip()


def test_the_secret_is_found_in_what_a_qr_code_says() -> None:
    uri = "otpauth://totp/jit:alice?secret=JBSWY3DPEHPK3PXP&issuer=jit"
    assert otp.secret_of(uri) == "JBSWY3DPEHPK3PXP"


def test_a_code_is_never_given_out_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.places.RUN", tmp_path)
    places = Places("one")
    otp.remember(places, "alice", RFC_SECRET)
    first, second = otp.next_code(places, "alice"), otp.next_code(places, "alice")
    assert first != second


def test_a_person_without_a_second_factor_has_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.places.RUN", tmp_path)
    with pytest.raises(LabError, match="mallory has no second factor in lab one"):
        otp.next_code(Places("one"), "mallory")
