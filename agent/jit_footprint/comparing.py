"""What is different after a grant, and may be its doing (SPEC 3.6).

The baseline is taken while the person may already be at work.  So what changed since the grant began counts as changed
even where both looks saw the same; and what one look did not see is judged by its time alone, never guessed.
"""

import posixpath
from dataclasses import dataclass
from typing import Final, Literal

from jit_footprint.snapshot import KINDS, Baseline, Cut, Entry, Kind, Snapshot

CHANGES: Final = 200
_PATH_BYTES: Final = 900


@dataclass(frozen=True, slots=True)
class Change:
    path: str
    kind: Kind
    what: Literal["added", "removed", "changed"]


@dataclass(frozen=True, slots=True)
class Footprint:
    """`before_at` is 0 if there was no first look.  `truncated`: not everything was seen, or it does not fit."""

    grant: str
    before_at: int
    after_at: int
    changes: tuple[Change, ...]
    truncated: bool


def compare(baseline: Baseline, after: Snapshot) -> Footprint:
    """At most `CHANGES` changes, the most dangerous kinds first; paths are text that is safe to show (S12)."""
    before = baseline.snapshot
    changes = _changes(baseline, after)
    changes.sort(key=lambda change: (KINDS.index(change.kind), change.path))
    partial = before is None or not before.finished or bool(before.cut or after.cut)
    return Footprint(
        grant=baseline.grant,
        before_at=before.started if before else 0,
        # A clock that was set back meanwhile makes no look come before the first.
        after_at=max(after.started, before.started if before else 0),
        changes=tuple(Change(shown(c.path), c.kind, c.what) for c in changes[:CHANGES]),
        truncated=partial or len(changes) > CHANGES,
    )


def _changes(baseline: Baseline, after: Snapshot) -> list[Change]:
    before = baseline.snapshot
    old = before.entries if before else {}
    unseen = _unseen(before)
    late = _changed_meanwhile(baseline.began, old)
    changes = list[Change]()
    for path, now in after.entries.items():
        was = old.get(path)
        if was is not None:
            if was.state != now.state or path in late:
                changes.append(Change(path, now.kind, "changed"))
        elif not _is_within(unseen, now.kind, path):
            changes.append(Change(path, now.kind, "added"))
        elif now.ctime >= baseline.began:
            changes.append(Change(path, now.kind, "changed"))
    for path, was in old.items():
        known = path in after.entries or _is_within(after.cut, was.kind, path)
        # What is in /run goes by itself: with a reboot, with the end of what it was for.
        if not known and not path.startswith("/run/"):
            changes.append(Change(path, was.kind, "removed"))
    return changes


def _unseen(before: Snapshot | None) -> frozenset[Cut]:
    if before is None:
        return frozenset((kind, "") for kind in KINDS)
    return before.cut if before.finished else before.cut | {("setuid", "")}


def _is_within(cut: frozenset[Cut], kind: Kind, path: str) -> bool:
    return any(kind == of and path.startswith(f"{folder}/") for of, folder in cut)


def _changed_meanwhile(began: int, old: dict[str, Entry]) -> set[str]:
    """What changed between the start of the grant and the first look.

    A folder only if no file in it explains its time: then something in it was removed.
    """
    late = {path for path, entry in old.items() if entry.ctime >= began}
    explained = {posixpath.dirname(path) for path in late}
    return late - explained


def shown(path: str) -> str:
    r"""The path as one line of printable text: what is not printable as `\x..`, the middle of a long one left out."""
    text = "".join(c if c.isprintable() else _visible(ord(c)) for c in path)
    while len(text.encode()) > _PATH_BYTES:
        keep = (len(text) * _PATH_BYTES // len(text.encode()) - 8) // 2
        text = f"{text[:keep]}…{text[-keep:]}"
    return text


def _visible(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
