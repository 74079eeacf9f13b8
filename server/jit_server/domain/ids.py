"""Identifiers (SPEC 1.1): a kind, a dash and 80 random bits; they encode nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum

from jit_server.errors import Invalid

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"

RandomBytes = Callable[[int], bytes]
"""`secrets.token_bytes`, or something a test chose."""


class Kind(StrEnum):
    USER = "usr"
    HOST = "hst"
    REQUEST = "req"
    GRANT = "gnt"
    SESSION = "ses"
    LOCK = "lck"
    CHANGE = "chg"
    RENEWAL = "rnw"
    BATCH = "bat"


_ID = re.compile(r"(?:usr|hst|req|gnt|ses|lck|chg|rnw|bat)-[0-9a-hjkmnp-tv-z]{16}")
_PREFIX = re.compile(r"[0-9a-hjkmnp-tv-z]{4,16}")


def new_id(kind: Kind, random_bytes: RandomBytes) -> str:
    """Return a fresh id of that kind, made of 10 bytes of `random_bytes`."""
    number = int.from_bytes(random_bytes(10), "big")
    digits = [ALPHABET[(number >> shift) & 31] for shift in range(75, -5, -5)]
    return f"{kind}-{''.join(digits)}"


def is_id(kind: Kind, text: str) -> bool:
    return _ID.fullmatch(text) is not None and text.startswith(f"{kind}-")


def id_prefix(kind: Kind, untrusted_text: str) -> str:
    """Turn what a person typed, with or without the kind and in any case, into the beginning of an id.

    Raises `Invalid` when no id of that kind can begin like this, and for less than four characters: a slip of the
    finger that happens to name one request must not approve it.
    """
    text = untrusted_text.lower().removeprefix(f"{kind}-")
    if not _PREFIX.fullmatch(text):
        raise Invalid(
            f"{untrusted_text[:64]!a} is not an id",
            hint=f"ids look like {kind}-7f3a…; a unique beginning of 4 is enough",
        )
    return f"{kind}-{text}"
