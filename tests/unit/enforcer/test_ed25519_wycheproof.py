"""The verify function that ships, against Wycheproof's Ed25519 vectors (S11)."""

import json
from pathlib import Path

import pytest

from jit_enforcer import sodium
from jit_enforcer.errors import Unverified

VECTORS = Path(__file__).parents[2] / "vectors" / "wycheproof_ed25519.json"
CASES = [
    pytest.param(bytes.fromhex(group["publicKey"]["pk"]), case, id=f"{case['tcId']}-{case['result']}")
    for group in json.loads(VECTORS.read_text())["testGroups"]
    for case in group["tests"]
]


def test_the_vectors_are_all_there() -> None:
    results = [param.values[1]["result"] for param in CASES]  # type: ignore[index]
    assert (results.count("valid"), results.count("invalid")) == (88, 63)


@pytest.mark.parametrize(("key", "case"), CASES)
def test_valid_signatures_hold_and_invalid_ones_do_not(key: bytes, case: dict[str, str]) -> None:
    signature, message = bytes.fromhex(case["sig"]), bytes.fromhex(case["msg"])
    if case["result"] == "valid":
        sodium.verify(signature, message, key)
    else:
        with pytest.raises(Unverified):
            sodium.verify(signature, message, key)


def test_the_key_that_signs_everything_is_refused() -> None:
    neutral = b"\1" + bytes(31)
    with pytest.raises(Unverified):
        sodium.verify(neutral + bytes(32), b"any message", neutral)
