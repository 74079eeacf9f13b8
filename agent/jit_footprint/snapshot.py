"""What one look at the host saw, and a grant's baseline, as values and as JSON (SPEC 3.6).

Only root reads these files back, and yet nothing in them is believed: what does not parse is no snapshot.
"""

import json
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Self, get_args

Kind = Literal["sudoers", "account", "keys", "setuid", "cron", "at", "unit", "startup"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
"""The most dangerous first: where a list has to be cut, these stay."""

Cut = tuple[Kind, str]
"""A kind, and a folder ("" for all there is) in which not everything of that kind was seen."""

_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One path.  `content` is a file's keyed digest, a link's target, or the stamps of what was too large to read.

    `ctime` is µs UTC, and 0 where it says nothing.
    """

    kind: Kind
    mode: int
    uid: int
    gid: int
    size: int
    content: str
    ctime: int

    @property
    def state(self) -> tuple[int, int, int, int, str]:
        """What must be the same for the path to count as unchanged."""
        return self.mode, self.uid, self.gid, self.size, self.content


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`boot` names the boot, `boot_us` is CLOCK_BOOTTIME when the look began; `key` names the key of the digests.

    `started` and `finished` are µs UTC; `finished` is 0 until the file systems were walked.
    """

    boot: str
    boot_us: int
    key: str
    started: int
    finished: int
    cut: frozenset[Cut]
    entries: dict[str, Entry]

    def after(self, first: Self) -> Self:
        """`first`, of which the walk is missing, with the walk of this later look."""
        walked = {path: entry for path, entry in self.entries.items() if entry.kind == "setuid"}
        cut = first.cut | {(kind, folder) for kind, folder in self.cut if kind == "setuid"}
        return replace(first, finished=self.finished, cut=cut, entries=first.entries | walked)


@dataclass(frozen=True, slots=True)
class Baseline:
    """The host at the start of a grant.  `began`, µs UTC: what changed since then may be the grant's doing."""

    grant: str
    began: int
    snapshot: Snapshot | None


def to_json(baseline: Baseline) -> str:
    return json.dumps(
        {
            "format": _FORMAT,
            "grant": baseline.grant,
            "began": baseline.began,
            "snapshot": None if baseline.snapshot is None else _document(baseline.snapshot),
        }
    )


def from_json(untrusted: bytes) -> Baseline | None:
    """The baseline in these bytes; None if it is not one, whole and of this format."""
    try:
        document = json.loads(untrusted)
        if document["format"] != _FORMAT:
            return None
        snapshot = document["snapshot"]
        return Baseline(
            str(document["grant"]), int(document["began"]), None if snapshot is None else _snapshot(snapshot)
        )
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None


def _document(snapshot: Snapshot) -> dict[str, object]:
    rows = [[path, e.kind, e.mode, e.uid, e.gid, e.size, e.content, e.ctime] for path, e in snapshot.entries.items()]
    return {
        "boot": snapshot.boot,
        "boot_us": snapshot.boot_us,
        "key": snapshot.key,
        "started": snapshot.started,
        "finished": snapshot.finished,
        "cut": sorted(snapshot.cut),
        "entries": rows,
    }


def _snapshot(document: Any) -> Snapshot:
    return Snapshot(
        boot=str(document["boot"]),
        boot_us=int(document["boot_us"]),
        key=str(document["key"]),
        started=int(document["started"]),
        finished=int(document["finished"]),
        cut=frozenset((_kind(kind), str(folder)) for kind, folder in document["cut"]),
        entries={str(path): _entry(row) for path, *row in document["entries"]},
    )


def _entry(row: list[Any]) -> Entry:
    kind, mode, uid, gid, size, content, ctime = row
    return Entry(_kind(kind), int(mode), int(uid), int(gid), int(size), str(content), int(ctime))


def _kind(untrusted: Any) -> Kind:
    return KINDS[KINDS.index(untrusted)]
