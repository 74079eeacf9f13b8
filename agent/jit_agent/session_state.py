"""What must be known of a session to go on with it after the agent was killed: one small file in its folder.

Replaced whole, by rename.  It is ours alone, but a disk can spoil it: what does not fit is `Malformed`, and the session
is then lost, not the agent.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from jit_agent.durable_files import sync_folder, write_all
from jit_agent.enforcer_wire import RECORDS
from jit_agent.errors import Malformed, SpoolUnavailable
from jit_agent.model import Admission, Person, is_id
from jit_agent.passwords import Watch

NAME = "session"
MAX_SIZE = 262_144


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a session was dealt with: every message of the stream before byte `sealed`; the rest is true there."""

    sealed: int = 0
    chunks: int = 0
    elapsed_ns: int = 0
    output_bytes: int = 0
    input_bytes: int = 0
    accepted: bool = False
    expects_commit: bool = False
    rejections: int = 0
    nested: int = 0
    terminal: str = ""
    pipes: str = ""
    """What the watches for passwords know (`passwords.Watch`)."""


@dataclass(frozen=True, slots=True)
class SessionState:
    """Who it is, what is kept of it, how far that is done, and what was ordered."""

    session_id: str
    grant_id: str
    uid: int
    user: str
    record: str
    required: bool
    subcommands: bool
    watch_s: int
    progress: Progress = field(default_factory=Progress)
    incomplete: str = ""
    """Why its recording ends here; empty while it goes on."""
    frozen: str = ""
    """Why its processes are stopped: order or unwatched; empty: they run."""
    unwatched_at: int = 0
    """When the last watcher left, µs UTC; 0: somebody watches, or nobody has to."""
    waits: bool = False
    """Its sudo is not let in yet: it waits for its first watcher."""

    @classmethod
    def of(cls, session_id: str, admission: Admission, *, sealed: int, incomplete: str) -> SessionState:
        """At its begin; before byte `sealed` there is only sudo's hello."""
        return cls(
            session_id, admission.grant_id or "", admission.person.uid, admission.person.name, admission.record,
            admission.required, admission.subcommands, admission.watch_s, Progress(sealed), incomplete,
        )  # fmt: skip

    @property
    def person(self) -> Person:
        return Person(self.uid, self.user)

    @property
    def records_io(self) -> bool:
        return self.record in {"output", "input"}

    def encode(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    def save(self, folder: Path, *, durable: bool) -> None:
        """`durable`: it survives the machine, and not only us.  Raises `SpoolUnavailable`."""
        draft = folder / f"{NAME}.new"
        try:
            fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                write_all(fd, self.encode())
                if durable:
                    os.fdatasync(fd)
            finally:
                os.close(fd)
            draft.rename(folder / NAME)
            if durable:
                sync_folder(folder)
        except OSError as e:
            raise SpoolUnavailable(f"{draft} cannot be written: {e.strerror}") from e

    @classmethod
    def load(cls, folder: Path) -> SessionState:
        """Raises `FileNotFoundError` where there is none, `Malformed` for one that does not fit."""
        try:
            with (folder / NAME).open("rb") as file:
                data = file.read(MAX_SIZE)
        except FileNotFoundError:
            raise
        except OSError as e:
            raise Malformed(f"{folder / NAME} cannot be read: {e}") from e
        return cls.decode(data, folder.name)

    @classmethod
    def decode(cls, data: bytes, session_id: str) -> SessionState:
        """Raises `Malformed` for what is not this session's."""
        try:
            value = json.loads(data)
        except (ValueError, RecursionError) as e:
            raise Malformed(f"what is kept of {session_id} cannot be read: {e}") from e
        if not _fits(value, cls) or not _fits(value["progress"], Progress):
            raise Malformed(f"what is kept of {session_id} is not a session's state")
        state = cls(**value | {"progress": Progress(**value["progress"])})
        if state.session_id != session_id or state.record not in RECORDS:
            raise Malformed(f"what is kept of {session_id} is not this session's state")
        if state.grant_id and not is_id(state.grant_id, "gnt"):
            raise Malformed(f"what is kept of {session_id} names a grant by something that is no id")
        try:
            Watch.load(state.progress.terminal)
            Watch.load(state.progress.pipes)
        except ValueError as e:
            raise Malformed(f"what is kept of {session_id} does not say what was shown") from e
        return state


_TYPES: Mapping[str, type] = {"str": str, "int": int, "bool": bool, "Progress": dict}


def _fits(value: Any, what: type[SessionState | Progress]) -> bool:
    wanted = {field.name: _TYPES[str(field.type)] for field in fields(what)}
    if not isinstance(value, dict) or set(value) != set(wanted):
        return False
    return all(
        type(value[name]) is kind and (kind is not int or 0 <= value[name] < 2**63) for name, kind in wanted.items()
    )
