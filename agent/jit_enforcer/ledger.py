"""What the enforcer has promised and done: one file a grant, durable before the act (S2, S7, SPEC 1.5).

A file is never emptied of its meaning: an ended grant stays as a tombstone, so that its bytes are not taken twice.
"""

import base64
import contextlib
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from jit_enforcer import strictjson, verify
from jit_enforcer.accounts import RunAs
from jit_enforcer.errors import Denied, Malformed, Unsafe
from jit_enforcer.grant import GRANT_ID, Grant
from jit_enforcer.paths import Paths
from jit_enforcer.units import Scope

State = Literal["live", "ending", "ended"]


@dataclass(frozen=True, slots=True)
class Entry:
    """`since`, `deadline` and `due` are µs of CLOCK_BOOTTIME in the grant's boot; `proof` is SPEC 3.3, once ended.

    `due` is when the end was, or was ordered; `killed` counts the programs the end stopped so far.
    `standing` are the pids, each with its start in clock ticks, of sudo that the host's own rules let run.
    `used`: the one sudo of a single-use grant was let in.  `sessions` are the audit sessions sudo came from.
    """

    grant: Grant
    run_as: RunAs
    envelope: bytes
    state: State
    reason: str
    scope: Scope
    since: int
    deadline: int
    standing: tuple[tuple[int, int], ...] = ()
    used: bool = False
    sessions: tuple[int, ...] = ()
    due: int = 0
    killed: int = 0
    proof: dict[str, Any] | None = None
    reported: bool = False


_PLAIN = (
    *("state", "reason", "since", "deadline", "standing", "used", "sessions"),
    *("due", "killed", "proof", "reported"),
)


class Ledger:
    """The entries by grant id; `spoilt` are the ids whose file cannot be read."""

    def __init__(self, paths: Paths) -> None:
        self._directory = paths.ledger
        self.entries: dict[str, Entry] = {}
        self.spoilt: set[str] = set()
        try:
            names = sorted(os.listdir(self._directory))
        except OSError as e:
            raise Unsafe(f"{self._directory} cannot be read: {e.strerror}") from e
        for name in names:
            self._load(self._directory / name)

    def save(self, entry: Entry) -> None:
        """Make the entry durable, then true.  Raises `Unsafe` and changes nothing if the disk does not take it."""
        fields = {name: getattr(entry, name) for name in _PLAIN}
        fields["scope"] = [entry.scope.name, entry.scope.slice]
        fields["run_as"] = [entry.run_as.uid, entry.run_as.gid]
        text = json.dumps({"envelope": base64.b64encode(entry.envelope).decode(), **fields})
        final = self._path(entry.grant.grant)
        draft = final.with_suffix(".new")
        try:
            with open(draft, "w", encoding="ascii") as file:
                os.fchmod(file.fileno(), 0o600)
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            draft.rename(final)
            self._sync()
        except OSError as e:
            with contextlib.suppress(OSError):  # a draft means nothing; load removes it
                draft.unlink()
            raise Unsafe(f"the ledger cannot be written: {e.strerror}") from e
        self.entries[entry.grant.grant] = entry

    def save_end(self, entry: Entry) -> None:
        """Like `save`, but never fails: an end needs no room on the disk (S6).

        If the disk is full, the name of the file alone says that the grant has ended.
        """
        try:
            self.save(entry)
        except Unsafe:
            self.entries[entry.grant.grant] = entry
            with contextlib.suppress(OSError):  # a read-only disk: its deadline still ends it, whoever restarts us
                final = self._path(entry.grant.grant)
                final.rename(final.with_suffix(".ended"))
                self._sync()

    def forget(self, grant_id: str) -> None:
        """Drop an entry that never came into force, or whose boot is long over."""
        self.entries.pop(grant_id, None)
        for suffix in (".json", ".ended"):
            with contextlib.suppress(OSError):  # gone already, or forgotten again at the next start
                self._path(grant_id).with_suffix(suffix).unlink()

    def _path(self, grant_id: str) -> Path:
        return self._directory / f"{grant_id}.json"

    def _load(self, path: Path) -> None:
        if path.suffix not in (".json", ".ended") or not GRANT_ID.fullmatch(path.stem):
            with contextlib.suppress(OSError):  # a draft of a crash, or not ours to judge
                if path.suffix == ".new":
                    path.unlink()
            return
        try:
            entry = _entry(path.read_bytes())
            if entry.grant.grant != path.stem:
                raise Malformed("an entry under another's name")
        except (OSError, Denied, KeyError, TypeError, ValueError):
            self.spoilt.add(path.stem)  # no entry, no right: reconcile takes its rule and scope away
            return
        if path.suffix == ".ended" and entry.state == "live":
            entry = replace(entry, state="ending", reason="expired")
        self.entries[path.stem] = entry  # ".json" comes after ".ended", and was written after it

    def _sync(self) -> None:
        fd = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _entry(content: bytes) -> Entry:
    fields = strictjson.parse_object(content)
    if fields.keys() != {"envelope", "run_as", "scope", *_PLAIN} or fields["state"] not in ("live", "ending", "ended"):
        raise Malformed("not an entry")
    envelope = base64.b64decode(fields.pop("envelope"), validate=True)
    fields["scope"] = Scope(*fields["scope"])
    fields["run_as"] = RunAs(*fields["run_as"])
    fields["standing"] = tuple((int(pid), int(start)) for pid, start in fields["standing"])
    fields["sessions"] = tuple(map(int, fields["sessions"]))
    return Entry(grant=verify.message_of(envelope), envelope=envelope, **fields)
