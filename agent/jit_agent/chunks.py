"""The sealed chunks of all sessions on this host, until the server keeps them (SPEC 8.2-8.4).

A chunk is on the disk for good when `write_all` returns.  Memory holds a few numbers a session and never what was
recorded, however much waits.  Everything but `bytes_waiting`, `waiting` and `progress` blocks on the disk: call it in a
thread.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jit_agent.chunk_folder import GONE, MAX_MISSING, ChunkFolder
from jit_agent.chunk_format import HEADER_SIZE, MAX_NUMBER, Header
from jit_agent.errors import SpoolUnavailable
from jit_agent.model import is_id
from jit_agent.packing import Frames, packed

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A session whose chunks from `kept` to before `written` are still to be uploaded."""

    session_id: str
    kept: int
    written: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Recordings that the server takes no more of, and the bytes they hold on this disk."""

    count: int
    size: int


@dataclass(slots=True)
class _Recording:
    folder: ChunkFolder
    kept: int = 0
    written: int = 0
    size: int = 0
    finished: bool = False
    refused: bool = False
    turn: threading.Lock = field(default_factory=threading.Lock)
    """Held for as long as something reads or changes the folder."""

    @property
    def waits(self) -> bool:
        return self.kept < self.written and not self.refused

    @property
    def over(self) -> bool:
        return self.finished and self.kept >= self.written and not self.refused


class Chunks:
    """All that is below one folder, which is ours alone; raises `SpoolUnavailable` where the disk takes no more."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._recordings: dict[str, _Recording] = {}
        self._waiting: dict[str, _Recording] = {}
        """Those with something to upload, the one that has waited longest first."""
        self._bytes = 0
        self._changed: Callable[[], None] = _nobody
        self._load()

    def write_all(self, session_id: str, number: int, frames: Iterable[Frames], *, compress: bool) -> list[bytes]:
        """Seal the session's next chunks, from `number` on; returns the SHA-256 of the stored bytes of each.

        They are durable then, and several cost about as much as one; one of them is in memory at a time.  The answer is
        shorter where the disk does not take all of them; it takes at least one, or this raises.
        """
        recording = self._recording(session_id)
        with recording.turn:
            if number != recording.written or number > MAX_NUMBER or recording.finished:
                raise ValueError(f"chunk {number} of {session_id} is not the next: there are {recording.written}")
            try:
                headers = recording.folder.write_all(packed(session_id, number, frames, compress=compress))
            except OSError as e:
                raise SpoolUnavailable(f"chunk {number} of {session_id} cannot be written: {e.strerror}") from e
            with self._lock:
                recording.written += len(headers)
                self._count(recording, sum(HEADER_SIZE + header.size for header in headers))
                self._note(recording)
        self._changed()
        return [header.sha256 for header in headers]

    def headers(self, session_id: str) -> list[Header]:
        """Those of all its chunks, also of chunks that the server keeps already; holes for what was lost."""
        recording = self._known(session_id)
        if recording is None:
            return []
        with recording.turn:
            try:
                return recording.folder.headers(recording.kept, recording.written)
            except OSError as e:
                raise SpoolUnavailable(f"the chunks of {session_id} cannot be read: {e.strerror}") from e

    def resume(self, session_id: str, sealed: int) -> list[Header]:
        """The headers of a session that goes on after a restart, and of which `sealed` chunks need no segments.

        Of those, what is lost is a hole.  From the first of the others that is lost on, they are removed: the segments
        still hold what they held.
        """
        recording = self._recording(session_id)
        if sealed > recording.written + MAX_MISSING:
            raise SpoolUnavailable(f"{session_id} had {sealed} chunks, and {recording.written} are left")
        with self._lock:
            recording.written = max(recording.written, sealed)
            self._note(recording)
        headers = self.headers(session_id)
        lost = next((header.number for header in headers[sealed:] if header.is_hole), None)
        if lost is None or lost < recording.kept:
            return headers
        with recording.turn:
            try:
                left = recording.folder.drop(range(lost, recording.written))
            except OSError as e:
                raise SpoolUnavailable(f"chunk {lost} of {session_id} cannot be made again: {e.strerror}") from e
            with self._lock:
                recording.written = lost
                self._count(recording, left - recording.size)
                self._note(recording)
        log.warning("Chunk %d of %s is made again from what was received", lost, recording.folder.path)
        return headers[:lost]

    def refused(self) -> Refused:
        """What the server refuses, and somebody has to look at."""
        with self._lock:
            sizes = [one.size for one in self._recordings.values() if one.refused]
        return Refused(len(sizes), sum(sizes))

    def finish(self, session_id: str) -> None:
        """No more chunks of it come: once all are kept, the folder and everything in it goes.  Idempotent.

        Where the disk does not take that, it is true for this run only.
        """
        recording = self._recording(session_id)
        with recording.turn:
            recording.finished = True
            try:
                if not recording.over:
                    recording.folder.finish(recording.written)
            except OSError as e:
                raise SpoolUnavailable(f"that {session_id} is finished cannot be noted: {e.strerror}") from e
            self._remove_if_over(recording)

    def bytes_waiting(self) -> int:
        """Bytes of chunks on this disk that the server is not known to keep, also of recordings it refused."""
        return self._bytes

    def waiting(self, limit: int) -> list[Waiting]:
        """So many sessions with something to upload, the one that has waited longest first."""
        with self._lock:
            return [_as_waiting(one) for one in itertools.islice(self._waiting.values(), limit)]

    def progress(self, session_id: str) -> Waiting | None:
        """The same of one session; None if it has nothing to upload."""
        with self._lock:
            recording = self._waiting.get(session_id)
            return None if recording is None else _as_waiting(recording)

    def on_change(self, changed: Callable[[], None]) -> None:
        """Call this, in whichever thread, whenever there is more to upload."""
        self._changed = changed

    def read(self, session_id: str, number: int) -> tuple[Header, bytes] | None:
        """A chunk with its bytes, or a hole where it is damaged; None for one that the server keeps already."""
        recording = self._known(session_id)
        if recording is None:
            return None
        with recording.turn:
            if not recording.kept <= number < recording.written:
                return None
            try:
                return recording.folder.read(number)
            except OSError as e:
                raise SpoolUnavailable(f"chunk {number} of {session_id} cannot be read: {e.strerror}") from e

    def keep(self, session_id: str, headers: Sequence[Header]) -> None:
        """The server keeps these chunks, the next of the session: their headers stay here, their bytes go."""
        recording = self._known(session_id)
        if recording is None:
            return
        with recording.turn:
            new = [header for header in headers if recording.kept <= header.number < recording.written]
            if new and new[0].number == recording.kept:
                try:
                    freed = recording.folder.keep(new)
                except OSError as e:
                    raise SpoolUnavailable(f"what the server keeps cannot be noted: {e.strerror}") from e
                with self._lock:
                    recording.kept += len(new)
                    self._count(recording, -freed)
                    self._note(recording)
            self._remove_if_over(recording)

    def put_aside(self, session_id: str, reason: str) -> None:
        """The server takes no more of this recording: what is left of it stays on this disk, and is sent no more."""
        recording = self._known(session_id)
        if recording is None or recording.refused:
            return
        with recording.turn:
            with self._lock:
                recording.refused = True
                self._note(recording)
            log.error("The server refuses the recording of %s, which stays in %s: %s",
                      session_id, recording.folder.path, reason)  # fmt: skip
            try:
                recording.folder.put_aside(reason)
            except OSError as e:
                log.warning("That %s was refused cannot be noted, and is asked again later: %s", session_id, e.strerror)

    def _known(self, session_id: str) -> _Recording | None:
        with self._lock:
            return self._recordings.get(session_id)

    def _recording(self, session_id: str) -> _Recording:
        with self._lock:
            found = self._recordings.get(session_id)
            if found is None:
                if not is_id(session_id, "ses"):
                    raise ValueError(f"{session_id[:40]!a} is not a session's id")
                found = self._recordings[session_id] = _Recording(ChunkFolder(self._root / session_id))
            return found

    def _load(self) -> None:
        """What an earlier run left; a folder that cannot be read is named in the journal, and left alone."""
        found = []
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            paths = list(self._root.iterdir())
        except OSError as e:
            raise SpoolUnavailable(f"{self._root} cannot be read: {e.strerror}") from e
        for path in paths:
            folder = ChunkFolder(path.with_name(path.name.removesuffix(GONE)))
            if not is_id(folder.session_id, "ses"):
                continue
            try:
                if path.name.endswith(GONE):
                    folder.remove_rest()
                else:
                    found.append((folder, folder.look()))
            except OSError as e:
                log.error("The recording in %s cannot be read: %s", path, e.strerror)
        for folder, state in sorted(found, key=lambda one: one[1].since):
            recording = _Recording(folder, state.kept, state.written, 0, state.finished, state.refused)
            self._recordings[folder.session_id] = recording
            self._count(recording, state.size)
            self._note(recording)
            self._remove_if_over(recording)

    def _note(self, recording: _Recording) -> None:
        if not recording.waits:
            self._waiting.pop(recording.folder.session_id, None)
        else:
            self._waiting.setdefault(recording.folder.session_id, recording)

    def _count(self, recording: _Recording, change: int) -> None:
        change = max(change, -recording.size)
        recording.size += change
        self._bytes += change

    def _remove_if_over(self, recording: _Recording) -> None:
        if not recording.over:
            return
        try:
            recording.folder.remove()
        except OSError as e:
            # Everything in it is kept, and the next start removes it.
            log.warning("%s cannot be removed: %s", recording.folder.path, e.strerror)
        with self._lock:
            self._count(recording, -recording.size)
            self._recordings.pop(recording.folder.session_id, None)


def _as_waiting(recording: _Recording) -> Waiting:
    return Waiting(recording.folder.session_id, recording.kept, recording.written)


def _nobody() -> None:
    """Nobody wants to hear of changes yet."""
