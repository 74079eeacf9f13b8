"""A grant, and the bytes a host believes (SPEC 2.1, 2.2).

The message is a length-prefixed domain tag and JSON; whoever signs adds key id and signature in front.  The keys are
exactly those of SPEC 2.2, in one order and without blanks, so the same grant is always the same bytes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum

from jit_server.domain.ask import ALL, MAX_COMMANDS, Commands
from jit_server.domain.identity import LocalUser
from jit_server.domain.lifecycle import LIVE, GrantState

DOMAIN_TAG = b"jit grant v1"
MAX_ENVELOPE = 32_768
ROOM_FOR_THE_REST = 8_192
"""What of an envelope is kept free for everything but the commands, names of the greatest length among it."""

RESIGN_AFTER_US = 30 * 1_000_000
"""An undelivered grant is signed anew after this, so that `remaining_s` does not outlive the grant by much (S2)."""

CONFIRMATION_GRACE_US = 5 * 1_000_000
"""How long after `not_after` the host may take to say that it is over before the grant counts as unconfirmed."""


class Record(StrEnum):
    """What is kept of a session, from least to most."""

    NONE = "none"
    EVENTS = "events"
    OUTPUT = "output"
    INPUT = "input"


@dataclass(frozen=True, slots=True)
class Signature:
    """The last bytes made for a host; `boot_id` is the boot they count for, `at` is in µs UTC."""

    revision: int
    boot_id: str
    at: int
    envelope: bytes


@dataclass(frozen=True, slots=True)
class Grant:
    """A grant as stored; times in µs UTC, `ended_at` zero while it lives."""

    grant_id: str
    request_id: str
    user_id: str
    host_id: str
    role: str
    local_user: LocalUser
    run_as_user: str
    run_as_group: str
    commands: Commands
    shell: bool
    record: Record
    state: GrantState
    not_before: int
    not_after: int
    reason: str
    approved_by: tuple[str, ...]
    signature: Signature | None = None
    applied_boot: str = ""
    """The boot on which the host said that it is in force; empty if it never did."""
    ended_at: int = 0
    end_reason: str = ""
    left_set_at: int = 0
    """The host's generation since which the grant is not in its desired state; zero while it is."""

    @property
    def revision(self) -> int:
        return self.signature.revision if self.signature else 0

    def wanted_at(self, now: int) -> bool:
        """Whether it belongs to the host's desired state."""
        return self.state in LIVE and self.not_before <= now < self.not_after

    def needs_signature(self, boot_id: str, now: int) -> bool:
        """Whether the bytes made last, if any, are not the ones to send to this boot now (SPEC 5.2)."""
        signed = self.signature
        if signed is None or signed.boot_id != boot_id:
            return True
        return self.state is GrantState.ISSUED and now - signed.at > RESIGN_AFTER_US


def too_large(commands: Commands) -> str | None:
    """Say why no host would take a grant of these commands (SPEC 2.1, 2.2), or None if hosts would."""
    if commands == ALL:
        return None
    if len(commands) > MAX_COMMANDS:
        return f"{len(commands)} commands; the limit is {MAX_COMMANDS}"
    size = len(_to_json(_listed(commands)).encode())
    if size > MAX_ENVELOPE - ROOM_FOR_THE_REST:
        return f"{size} bytes of commands; the limit is {MAX_ENVELOPE - ROOM_FOR_THE_REST}"
    return None


def remaining_s(not_after: int, now: int) -> int:
    """Seconds from `now` to `not_after` (both µs), rounded up."""
    return -((now - not_after) // 1_000_000)


def message(grant: Grant, *, revision: int, boot_id: str, now: int) -> bytes:
    """Return what is signed: the domain tag, its length before it, and the JSON of SPEC 2.2."""
    payload = {
        "grant": grant.grant_id,
        "revision": revision,
        "host": grant.host_id,
        "boot": boot_id,
        "uid": grant.local_user.uid,
        "user": grant.local_user.name,
        "run_as_user": grant.run_as_user,
        "run_as_group": grant.run_as_group,
        "commands": _listed(grant.commands),
        "shell": grant.shell,
        "record": grant.record.value,
        "role": grant.role,
        "not_before": grant.not_before,
        "not_after": grant.not_after,
        "remaining_s": remaining_s(grant.not_after, now),
    }
    return len(DOMAIN_TAG).to_bytes(2, "big") + DOMAIN_TAG + _to_json(payload).encode()


def _listed(commands: Commands) -> object:
    if commands == ALL:
        return ALL
    return [{"path": command.path, "args": command.args} for command in commands]


def _to_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
