"""One-time codes of the lab's people (RFC 6238), each given out once because the server takes each once."""

from __future__ import annotations

import base64
import fcntl
import hmac
import json
import time
import urllib.parse
from pathlib import Path

from lab.places import Places
from lab.process import LabError

STEP_S = 30


def code(secret: str, step: int) -> str:
    """The six digits of `secret` (base 32) in time step `step`."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8), casefold=True)
    whole = hmac.digest(key, step.to_bytes(8, "big"), "sha1")
    at = whole[-1] & 15
    return f"{(int.from_bytes(whole[at : at + 4], 'big') & 0x7FFFFFFF) % 1_000_000:06d}"


def secret_of(uri: str) -> str:
    """The secret in an `otpauth://` URI."""
    return urllib.parse.parse_qs(urllib.parse.urlsplit(uri).query)["secret"][0]


def remember(places: Places, person: str, secret: str) -> None:
    """Keep what an authenticator program would keep."""
    file = _file(places, person)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.write_text(json.dumps({"secret": secret, "used": 0}))


def next_code(places: Places, person: str) -> str:
    """A code that was not given out before and that the server takes now: of this time step or the next.

    Waits for the clock, up to 30 seconds, when both are used.
    """
    try:
        file = _file(places, person).open("r+")
    except FileNotFoundError:
        raise LabError(f"{person} has no second factor in lab {places.name}") from None
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        kept = json.load(file)
        # Not the step before, though the server takes it too: it may pass while the code is on its way.
        step = max(kept["used"] + 1, int(time.time()) // STEP_S)
        time.sleep(max(0.0, (step - 1) * STEP_S - time.time()))
        file.seek(0)
        file.truncate()
        json.dump(kept | {"used": step}, file)
    return code(kept["secret"], step)


def _file(places: Places, person: str) -> Path:
    return places.run / "people" / person
