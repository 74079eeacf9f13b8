"""The values the agent works with; no input or output, no protobuf, no JSON text.

Times are µs UTC, durations whole seconds, unless a name ends in `_us`.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from typing import Any

from jit_agent import pattern

ID_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_ID = re.compile(r"(usr|hst|req|gnt|ses|lck|chg|rnw|bat)-[0-9a-hjkmnp-tv-z]{16}")

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
class Arrival:
    """How a person came onto the host, as kernel and logind have it.

    `kind` is ssh, console, other or unknown; `source` the address they came from, empty where it is not known or there
    is none; `terminal` whether they ask from one.
    """

    kind: str = "unknown"
    source: str = ""
    terminal: bool = False


@dataclass(frozen=True, slots=True)
class Login:
    """A person, and the login session they speak from as the kernel's audit counts it; 0 where it counts none."""

    person: Person
    session: int
    arrival: Arrival = field(default_factory=Arrival)


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
    arrival: Arrival
    hosts: tuple[str, ...] = ()
    """Those it is for, as the person selects them; none: this one."""
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class AccountQuery:
    """The server asks whose this account is here."""

    number: int
    account: str


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
    """One program (SPEC 2.3) with exactly these arguments, those an expression in a text matches, or any if None.

    `sha256` not empty: only while the file's content has this digest, which sudo finds out.
    """

    path: str
    args: tuple[str, ...] | str | None
    sha256: str = ""

    def admits(self, argv: tuple[str, ...]) -> bool:
        if argv[0] != self.path:
            return False
        if isinstance(self.args, str):
            return pattern.matches(self.args, argv[1:])
        return self.args in (None, argv[1:])

    def as_json(self) -> dict[str, Any]:
        args: Any = self.args
        if args is not None:
            args = {"regex": args} if isinstance(args, str) else list(args)
        return {"path": self.path, "args": args, "sha256": self.sha256}


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
        return any(command.admits(ask.argv) for command in self.commands)

    def as_json(self) -> dict[str, Any]:
        commands: Any = "ALL"
        if self.commands is not None:
            commands = [command.as_json() for command in self.commands]
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


@dataclass(frozen=True, slots=True)
class SessionOrder:
    """What the server wants of one session (SPEC 8.5); `message` is one line for the person whose session it is."""

    session_id: str
    watched: bool
    frozen: bool
    killed: bool
    message: str
