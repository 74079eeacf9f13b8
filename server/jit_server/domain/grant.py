"""A grant, and the bytes a host believes (SPEC 2.1, 2.2).

The message is a length-prefixed domain tag and JSON; whoever signs adds key id and signature in front.  The keys are
exactly those of SPEC 2.2, in one order and without blanks, so the same grant is always the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from jit_server.domain.ask import ALL, MAX_COMMANDS, Commands
from jit_server.domain.identity import LocalUser
from jit_server.domain.lifecycle import LIVE, GrantState
from jit_server.domain.pattern import Pattern

DOMAIN_TAG = b"jit grant v1"
MAX_ENVELOPE = 32_768
ROOM_FOR_THE_REST = 8_192
"""What of an envelope is kept free for everything but the commands, their directory and their variables."""

MAX_VARIABLES = 64

RESIGN_AFTER_US = 30 * 1_000_000
"""An undelivered grant is signed anew after this, so that `remaining_s` does not outlive the grant by much (S2)."""

CONFIRMATION_GRACE_US = 5 * 1_000_000
"""How long after its end was due the host may take to say so before the grant counts as unconfirmed (SPEC 5.2)."""

DEFAULT_RETAIN_S = 365 * 86_400
"""How long recordings are kept after a session's end, where the role says nothing."""

REVISION_US = 10_000
MAX_REVISION = 2**31 - 1
"""Revisions grow by at least one in each 10 ms, so that a server that was restored from a backup, and has forgotten
some, does not give a number twice; no grant is signed more often than that."""


class Record(StrEnum):
    """What is kept of a session, from least to most."""

    NONE = "none"
    EVENTS = "events"
    OUTPUT = "output"
    INPUT = "input"


@dataclass(frozen=True, slots=True)
class Signature:
    """The last bytes made for a host; `boot_id` is the boot they count for, empty once they count for none.

    Times in µs UTC.  `until` is the end that was promised when they were made, `not_after` the end in them; it comes
    before `until` when they are a lease (SPEC 2.6).
    """

    revision: int
    boot_id: str
    at: int
    until: int
    not_after: int
    envelope: bytes


@dataclass(frozen=True, slots=True)
class Grant:
    """A grant as stored; times in µs UTC, `ended_at` zero while it lives.

    `not_after` is what the person was promised, and moves with each extension.  `term_s` is the longest time it was
    given at once: the role's maximum is held against that, or an approved extension would end with the next policy.
    """

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
    term_s: int
    once: bool = False
    """One sudo, then it is over."""
    session: int = 0
    """The audit session sudo must come from; zero: any of the person's."""
    lease_s: int = 0
    """The host ends it by itself after so long without the server; zero: it does not."""
    required: bool = True
    """No record, no command (S5)."""
    subcommands: bool = False
    """What a command starts is told too."""
    watch_s: int = 0
    """Not zero: sudo starts only once somebody watches; unwatched it is frozen, and killed after so many seconds."""
    retain_s: int = DEFAULT_RETAIN_S
    """How long recordings of its sessions are kept after their end."""
    directory: str = ""
    """Where its commands run; empty: where the person is."""
    environment: tuple[str, ...] = ()
    """Variables of the person's that its commands see, beside those the host's sudo always passes."""
    extensions: int = 0
    signature: Signature | None = None
    agreed_until: int = 0
    """The promised end that the host said it holds the grant to; zero if it never did."""
    applied_boot: str = ""
    """The boot on which the host said that it is in force; empty if it never did."""
    ending_since: int = 0
    """When somebody ended it before its time; zero while nobody has."""
    ended_at: int = 0
    end_reason: str = ""
    unconfirmed_at: int = 0
    """When the server gave up waiting for the host's word; zero if it never did."""
    leftovers: tuple[str, ...] = ()
    """What the host found outside every scope when it ended (SPEC 3.3), a line for each process."""
    left_set_at: int = 0
    """The host's generation since which the grant is not in its desired state; zero while it is."""

    @property
    def revision(self) -> int:
        return self.signature.revision if self.signature else 0

    @property
    def due_at(self) -> int:
        """When the host has to have ended it: by the last bytes made for it, or because somebody ended it."""
        if self.ending_since:
            return self.ending_since
        return self.signature.not_after if self.signature else self.not_after

    def overdue_at(self, now: int) -> bool:
        """Whether the host should have told of its end by now; one it never heard of has nothing to be told."""
        return self.due_at + (CONFIRMATION_GRACE_US if self.signature else 0) <= now

    def wanted_at(self, now: int) -> bool:
        """Whether it belongs to the host's desired state.

        What the host had to end by the bytes it has, a lease that ran out among it, does not come back.
        """
        return self.state in LIVE and self.not_before <= now < self.due_at

    def needs_signature(self, boot_id: str, now: int) -> bool:
        """Whether the bytes made last, if any, are not the ones to send to this boot now (SPEC 5.2)."""
        signed = self.signature
        if signed is None or signed.boot_id != boot_id or signed.until != self.not_after:
            return True
        if 0 < self.renewal_at <= now:
            return True
        return self.state is GrantState.ISSUED and now - signed.at > RESIGN_AFTER_US

    @property
    def renewal_at(self) -> int:
        """When its lease is to be renewed; zero without a lease, and when the last one reaches the end."""
        signed = self.signature
        if not self.lease_s or signed is None or signed.not_after >= self.not_after:
            return 0
        return signed.at + self.lease_s * 1_000_000 // 3

    def end_to_sign(self, now: int) -> int:
        """The `not_after` of bytes made now: the promised end, or that of the lease if it comes before."""
        return min(self.not_after, now + self.lease_s * 1_000_000) if self.lease_s else self.not_after

    def next_revision(self, now: int) -> int:
        """A number above every one that was given to this grant, also by a server whose memory was lost since."""
        return max(self.revision + 1, min(1 + (now - self.not_before) // REVISION_US, MAX_REVISION))


def too_large(commands: Commands, directory: str = "", environment: Collection[str] = ()) -> str | None:
    """Say why no host would take a grant of so much (SPEC 2.1, 2.2), or None if hosts would."""
    if commands != ALL and len(commands) > MAX_COMMANDS:
        return f"{len(commands)} commands; the limit is {MAX_COMMANDS}"
    if len(set(environment)) > MAX_VARIABLES:
        return f"{len(set(environment))} variables; the limit is {MAX_VARIABLES}"
    size = len(_to_json([_listed(commands), directory, sorted(set(environment))]).encode())
    if size > MAX_ENVELOPE - ROOM_FOR_THE_REST:
        return f"{size} bytes of commands, directory and variables; the limit is {MAX_ENVELOPE - ROOM_FOR_THE_REST}"
    return None


def remaining_s(not_after: int, now: int) -> int:
    """Seconds from `now` to `not_after` (both µs), rounded up."""
    return -((now - not_after) // 1_000_000)


def message(grant: Grant, *, revision: int, boot_id: str, now: int) -> bytes:
    """Return what is signed: the domain tag, its length before it, and the JSON of SPEC 2.2."""
    not_after = grant.end_to_sign(now)
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
        "directory": grant.directory,
        "environment": sorted(set(grant.environment)),
        "shell": grant.shell,
        "record": grant.record.value,
        "required": grant.required,
        "subcommands": grant.subcommands,
        "watch_s": grant.watch_s,
        "role": grant.role,
        "not_before": grant.not_before,
        "not_after": not_after,
        "until": grant.not_after,
        "once": grant.once,
        "session": grant.session,
        "remaining_s": remaining_s(not_after, now),
    }
    return len(DOMAIN_TAG).to_bytes(2, "big") + DOMAIN_TAG + _to_json(payload).encode()


def _listed(commands: Commands) -> object:
    if commands == ALL:
        return ALL
    return [
        {
            "path": command.path,
            "args": {"regex": command.args.text} if isinstance(command.args, Pattern) else command.args,
            "sha256": command.sha256,
        }
        for command in commands
    ]


def _to_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
