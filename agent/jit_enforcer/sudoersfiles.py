"""The lines of the host's sudoers in the order in which sudo reads them, so that people can be told which one it is.

What a line means is for sudo's own parser to say (`parseback`): nothing here lets a grant through.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jit_enforcer.errors import Unsafe
from jit_enforcer.paths import Paths

_INCLUDE: Final = re.compile(r"[@#]include(dir)?\s+(?:\"([^\"]+)\"|((?:\\.|[^\s\\])+))")
# `#` begins a comment, but for an include and for a rule of a uid.
_COMMENT: Final = re.compile(r"#(?!include(dir)?\s|\d)")
_DEFAULTS: Final = re.compile(r"Defaults\b")
_BOUND: Final = re.compile(r"Defaults\s*[:@!>]")
_DEEPEST: Final = 128


@dataclass(frozen=True, slots=True)
class Line:
    """A line joined with what continues it; `place` is FILE:NUMBER, safe to show; `ours` includes our folder."""

    place: str
    text: str
    ours: bool = False


def read(paths: Paths) -> list[Line]:
    """Every line that means something, what is included in place of its include; our own folder is not opened.

    Raises `Unsafe` if a file cannot be read.
    """
    return list(_lines(paths, paths.sudoers, 0))


def what_comes_later(paths: Paths) -> str:
    """What is wrong with the order, as a problem for people; empty if our include is the last that sudo reads.

    Raises `Unsafe` if a file cannot be read.
    """
    lines = read(paths)
    ours = [number for number, line in enumerate(lines) if line.ours]
    if not ours:
        return "sudo does not read /run/jit/sudoers.d: reinstall jit-agent and end /etc/sudoers with its @includedir"
    late = lines[ours[-1] + 1 :]
    return f"{late[0].place} comes after the rules of grants: move it before @includedir" if late else ""


def place_of(paths: Paths, option: str) -> str:
    """Where Defaults name this option, as " in FILE:NUMBER", those for only some first; empty if it is not found."""
    named = re.compile(rf"\b{re.escape(option)}\b")
    try:
        found = [line for line in read(paths) if _DEFAULTS.match(line.text) and named.search(line.text)]
    except Unsafe:
        return ""
    found = [line for line in found if _BOUND.match(line.text)] or found
    return f" in {found[-1].place}" if found else ""


def _lines(paths: Paths, file: Path, depth: int) -> Iterator[Line]:
    if depth > _DEEPEST:
        raise Unsafe(f"{_shown(paths, file)} includes itself")
    try:
        text = file.read_text("utf-8", "surrogateescape")
    except OSError as e:
        raise Unsafe(f"{_shown(paths, file)} cannot be read: {e.strerror}") from e
    for number, line in _logical(text):
        place = f"{_shown(paths, file)}:{number}"
        include = _INCLUDE.match(line)
        if include is None:
            yield Line(place, line)
            continue
        target = _target(paths, file, include[2] or re.sub(r"\\(.)", r"\1", include[3]))
        if target == paths.dropins:
            yield Line(place, line, ours=True)
        else:
            for included in _folder(target) if include[1] else [target]:
                yield from _lines(paths, included, depth + 1)


def _target(paths: Paths, file: Path, written: str) -> Path:
    """An absolute name, or one beside the file that includes it; %h is the host's short name."""
    path = file.parent / written.replace("%h", os.uname().nodename.partition(".")[0])
    return path if path.is_relative_to(paths.root) else paths.root / str(path).lstrip("/")


def _logical(text: str) -> Iterator[tuple[int, str]]:
    """Each line that means something, with the number it begins at."""
    begin, parts = 0, list[str]()
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        begin = begin or number
        parts.append(line.removesuffix("\\"))
        if not line.endswith("\\") or number == len(lines):
            whole = " ".join(parts).strip()
            if whole and not _COMMENT.match(whole):
                yield begin, whole
            begin, parts = 0, []


def _folder(path: Path) -> list[Path]:
    """sudo passes over names with a dot or a final tilde, and over what is not there (sudoers(5))."""
    try:
        names = sorted(name for name in os.listdir(path) if "." not in name and not name.endswith("~"))
    except OSError:
        return []
    return [path / name for name in names if (path / name).is_file()]


def _shown(paths: Paths, file: Path) -> str:
    return ascii(f"/{file.relative_to(paths.root)}")[1:-1]
