"""What grants left behind on the host is picked up where a root program puts it, and reported once (SPEC 3.6).

The files are root's, but much in them was named by whoever had root: they are read with a limit, strictly, and as text
that nobody trusts.  One that cannot be used is logged once and stands in the way of no other.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

from jit_agent.changes import Bell
from jit_agent.errors import Malformed, SpoolUnavailable
from jit_agent.model import is_id
from jit_agent.report_model import Change, Footprint
from jit_agent.reports import Reports
from jit_agent.text import safe

log = logging.getLogger(__name__)

LOOK_S = 10.0
MAX_FILE = 1_048_576
MAX_CHANGES = 200
MAX_PATH = 4_096
WHATS = frozenset({"added", "removed", "changed"})
# What kinds there are is between the program that looks and the people who read.
_KIND = re.compile(r"[a-z]{1,20}")

_Seen = tuple[str, int, int]
"""A version of a file: its name, inode number and time of change."""


class Footprints:
    """Looks into one directory for the agent's whole life."""

    def __init__(self, directory: Path, reports: Reports) -> None:
        self._directory = directory
        self._reports = reports
        self._done: set[_Seen] = set()

    async def watch(self, ended: Bell) -> None:
        """Look now, whenever a grant ended, and every so often: the program that looks for traces takes its time."""
        said = ""
        while True:
            seen, wrong = ended.count, ""
            try:
                await self.look()
            except (OSError, SpoolUnavailable) as e:
                wrong = str(e)
            if wrong and wrong != said:
                log.warning("Footprints cannot be picked up: %s", safe(wrong))
            said = wrong
            await ended.wait_beyond(seen, timeout_s=LOOK_S)

    async def look(self) -> None:
        """Report what is new; raises `SpoolUnavailable` or `OSError`, and the rest is then found again."""
        files = await asyncio.to_thread(_files, self._directory)
        self._done.intersection_update(files)
        for file in files:
            if file in self._done:
                continue
            try:
                found = await asyncio.to_thread(_read, self._directory / file[0])
            except (OSError, Malformed) as e:
                log.warning("Footprint %s cannot be used: %s", safe(file[0], 100), safe(str(e), 300))
            else:
                await self._reports.footprint(found)
            self._done.add(file)


def parse(untrusted: bytes) -> Footprint:
    """The object of SPEC 3.6, exactly; raises `Malformed`."""
    try:
        value = json.loads(untrusted)
    except (ValueError, RecursionError) as e:
        raise Malformed("it is not JSON") from e
    match value:
        case {
            "grant": str(grant_id),
            "before_at": int(before_at),
            "after_at": int(after_at),
            "changes": [*changes],
            "truncated": bool(truncated),
            **rest,
        } if not rest:
            pass
        case _:
            raise Malformed("it is not what was agreed")
    # True and False are numbers to Python.
    if (
        not is_id(grant_id, "gnt")
        or not type(before_at) is type(after_at) is int
        or not 0 <= before_at <= after_at < 2**53
    ):
        raise Malformed("its grant or its times are none")
    if len(changes) > MAX_CHANGES:
        raise Malformed(f"it has {len(changes)} changes, limit {MAX_CHANGES}")
    return Footprint(grant_id, before_at, after_at, tuple(map(_change, changes)), truncated)


def _change(value: Any) -> Change:
    match value:
        case {"path": str(path), "kind": str(kind), "what": str(what), **rest} if not rest:
            if _KIND.fullmatch(kind) and what in WHATS and path:
                return Change(safe(path, MAX_PATH), kind, what)
    raise Malformed("one of its changes is not what was agreed")


def _files(directory: Path) -> list[_Seen]:
    """Finished comparisons, oldest first; none where there is no such directory yet."""
    found = []
    with suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.endswith(".json") and is_id(entry.name.removesuffix(".json"), "gnt"):
                status = entry.stat(follow_symlinks=False)
                found.append((status.st_ctime_ns, (entry.name, status.st_ino, status.st_ctime_ns)))
    return [file for _, file in sorted(found)]


def _read(path: Path) -> Footprint:
    """Raises `OSError` or `Malformed`."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise Malformed("it is not a plain file")
        untrusted = file.read(MAX_FILE + 1)
    if len(untrusted) > MAX_FILE:
        raise Malformed(f"it is longer than {MAX_FILE} bytes")
    found = parse(untrusted)
    if found.grant_id != path.stem:
        raise Malformed("it speaks of another grant than its name")
    return found
