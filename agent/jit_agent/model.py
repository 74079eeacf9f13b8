"""The values the agent works with; no input or output, no protobuf, no JSON text.

Times are µs UTC, durations whole seconds, unless a name ends in `_us`.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from typing import Any

ID_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_ID = re.compile(r"(usr|hst|req|gnt|ses|lck)-[0-9a-hjkmnp-tv-z]{16}")

END_REASONS: frozenset[str] = frozenset({"expired", "revoked", "dropped", "stopped", "rebooted", "used"})


def is_id(text: str, kind: str) -> bool:
    """Whether `text` is an id of this kind (SPEC 1.1)."""
    return _ID.fullmatch(text) is not None and text.startswith(f"{kind}-")


def new_session_id() -> str:
    """A fresh `ses-…`: 80 random bits."""
    return "ses-" + "".join(secrets.choice(ID_ALPHABET) for _ in range(16))


@dataclass(frozen=True, slots=True)
class Person:
    """A local user as kernel and NSS know them."""

    uid: int
    name: str


@dataclass(frozen=True, slots=True)
class Login:
    """A person, and the login session they speak from as the kernel's audit counts it; 0 where it counts none."""

    person: Person
    session: int


@dataclass(frozen=True, slots=True)
class Ask:
    """What the person wants sudo to run (SPEC 4.2); `argv` is empty for a shell, or to ask for the role as such."""

    argv: tuple[str, ...]
    run_as_user: str = "root"
    run_as_group: str = ""
    shell: bool = False
    login: bool = False
    exact: bool = False


@dataclass(frozen=True, slots=True)
class NewRequest:
    """What a person asks the server for; `session` and `starts_at` are 0 for any session and for at once."""

    role: str
    ask: Ask
    duration_s: int
    reason: str
    ticket: str
    otp: str = field(repr=False)
    once: bool
    session: int
    starts_at: int


@dataclass(frozen=True, slots=True)
class Extension:
    """How much longer a live grant shall last, and what the role may want to hear for it."""

    grant_id: str
    duration_s: int
    reason: str
    ticket: str
    otp: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Command:
    """One program with exactly these arguments, or with any if `args` is None (SPEC 2.3)."""

    path: str
    args: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class LiveGrant:
    """A grant that the enforcer says is in force (LIVE of SPEC 3.2).

    `commands` None means ALL.  `until` is what the person was promised; a lease has an earlier `not_after` (SPEC 2.6).
    `used`: the one sudo of a `once` grant was admitted.  `session` 0: any login session of the person's.
    """

    grant_id: str
    revision: int
    uid: int
    user: str
    role: str
    run_as_user: str
    run_as_group: str
    commands: tuple[Command, ...] | None
    shell: bool
    not_after: int
    until: int
    once: bool
    used: bool
    session: int
    scope: str
    processes: int

    def covers(self, ask: Ask, session: int) -> bool:
        """Whether sudo would let exactly this through by this grant, from this login session.

        An ask that names neither a command nor a shell is covered by nothing: there is nothing to run.
        """
        if self.used or self.session not in (0, session):
            return False
        if (ask.run_as_user, ask.run_as_group) != (self.run_as_user, self.run_as_group):
            return False
        if ask.shell or ask.login:
            return self.shell and self.commands is None
        if not ask.argv:
            return False
        if self.commands is None:
            return True
        path, args = ask.argv[0], ask.argv[1:]
        return any(c.path == path and c.args in (None, args) for c in self.commands)

    def as_json(self) -> dict[str, Any]:
        commands: Any = "ALL"
        if self.commands is not None:
            commands = [{"path": c.path, "args": None if c.args is None else list(c.args)} for c in self.commands]
        return {
            "grant": self.grant_id, "revision": self.revision, "uid": self.uid, "user": self.user, "role": self.role,
            "run_as_user": self.run_as_user, "run_as_group": self.run_as_group, "commands": commands,
            "shell": self.shell, "not_after": self.not_after, "until": self.until, "once": self.once,
            "used": self.used, "session": self.session, "scope": self.scope, "processes": self.processes,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Leftover:
    """A process that had left the scope of its grant, found at the end."""

    pid: int
    command: str
    killed: bool

    def as_json(self) -> dict[str, Any]:
        return {"pid": self.pid, "command": self.command, "killed": self.killed}


@dataclass(frozen=True, slots=True)
class Proof:
    """The enforcer's word that nothing of a grant is left in its scope, and what it found outside (SPEC 3.3)."""

    grant_id: str
    revision: int
    reason: str
    ended_at: int
    late_us: int
    killed: int
    scope_empty: bool
    rule_removed: bool
    leftovers: tuple[Leftover, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "grant": self.grant_id, "revision": self.revision, "reason": self.reason, "ended_at": self.ended_at,
            "late_us": self.late_us, "killed": self.killed, "scope_empty": self.scope_empty,
            "rule_removed": self.rule_removed, "leftovers": [one.as_json() for one in self.leftovers],
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Admission:
    """A sudo process the enforcer let pass; `grant_id` is None for a standing rule of the host's own.

    What is kept of its session (SPEC 8.1) is the strictest that sudo was told.  `watch_s` not 0: it starts only once
    somebody watches, and may run unwatched for so many seconds, frozen.
    """

    grant_id: str | None
    person: Person
    pid: int
    argv: tuple[str, ...]
    record: str
    required: bool
    subcommands: bool
    watch_s: int


@dataclass(frozen=True, slots=True)
class HostStatus:
    """What the enforcer says of the host; `problems` empty means grants can be enforced."""

    boot_id: str
    host_id: str | None
    sudo_version: str
    problems: tuple[str, ...]
    live: tuple[LiveGrant, ...]


@dataclass(frozen=True, slots=True)
class SignedGrant:
    grant_id: str
    revision: int
    envelope: bytes


@dataclass(frozen=True, slots=True)
class DesiredState:
    """Every grant that shall live on this host; what is not in it must not (S1)."""

    generation: int
    grants: tuple[SignedGrant, ...]


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The server's answer to an enrolment: certificates in PEM, Ed25519 keys of 32 bytes, host:port of mTLS."""

    host_id: str
    host_name: str
    certificate: str
    ca: str
    grant_keys: tuple[bytes, ...]
    server: str


# Reports: what the host knows and the server must learn (SPEC 5.3).


@dataclass(frozen=True, slots=True)
class Applied:
    revision: int
    scope: str


@dataclass(frozen=True, slots=True)
class Refused:
    revision: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class SessionStarted:
    session_id: str
    person: Person
    run_as_user: str
    argv: tuple[str, ...]
    command: str
    cwd: str
    tty: str
    standing: bool
    record: str
    environment: tuple[str, ...]
    rows: int
    columns: int


@dataclass(frozen=True, slots=True)
class SessionWaiting:
    """sudo waits at the gate for somebody to watch it."""

    session_id: str
    person: Person
    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Subcommand:
    """A program that a session's command started; `rejected` says why it was not let, empty if it was."""

    session_id: str
    argv: tuple[str, ...]
    command: str
    cwd: str
    run_as_user: str
    rejected: str


@dataclass(frozen=True, slots=True)
class SessionFrozen:
    """The session's processes were stopped, or go on; `why` is order or unwatched."""

    session_id: str
    frozen: bool
    why: str


@dataclass(frozen=True, slots=True)
class SessionRejected:
    session_id: str
    person: Person
    argv: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """`lost`: sudo's connection broke before it told us the exit.

    `digest` is that of the recording (SPEC 8.2), empty without chunks; `incomplete` says why the recording ends before
    the session does, empty if it is whole.  The bytes are what the command wrote and read.
    """

    session_id: str
    exit_value: int = 0
    signal: str = ""
    run_time_us: int = 0
    lost: bool = False
    chunks: int = 0
    digest: bytes = b""
    output_bytes: int = 0
    input_bytes: int = 0
    incomplete: str = ""


@dataclass(frozen=True, slots=True)
class DropAsked:
    person: Person


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is not as it was before the grant."""

    path: str
    kind: str
    what: str


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a grant left behind on the host, among what matters (SPEC 3.6); `truncated`: there was more."""

    grant_id: str
    before_at: int
    after_at: int
    changes: tuple[Change, ...]
    truncated: bool


SessionEvent = SessionStarted | SessionWaiting | SessionRejected | Subcommand | SessionFrozen
ReportBody = Applied | Refused | Proof | SessionEvent | SessionEnded | DropAsked | Footprint


@dataclass(frozen=True, slots=True)
class SessionOrder:
    """What the server wants of one session (SPEC 8.5); `message` is one line for the person whose session it is."""

    session_id: str
    watched: bool
    frozen: bool
    killed: bool
    message: str
