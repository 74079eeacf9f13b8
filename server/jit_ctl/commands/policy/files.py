"""Policy files as they are named on a command line: files, directories of *.yaml, and - for standard input."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from jit_ctl.errors import CtlError
from jit_ctl.policy_model import PolicyFile

MAX_POLICY = 1024 * 1024
"""Bytes of all files together (SPEC 7)."""
MAX_FILES = 100
"""Files of one policy (SPEC 9.1)."""


def files_argument(*, required: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add FILE…; the command gets `names`."""
    return click.argument(
        "names",
        metavar="FILE…" if required else "[FILE…]",
        nargs=-1,
        required=required,
        type=click.Path(allow_dash=True),
    )


def file_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --file; the command gets `names`."""
    return click.option(
        "-f",
        "--file",
        "names",
        multiple=True,
        type=click.Path(allow_dash=True),
        metavar="FILE",
        help="Ask these policy files, not the policy in force; may be repeated.",
    )(command)


def read(names: Sequence[str]) -> list[PolicyFile]:
    """Read them all; raise `CtlError` for what is missing, too large, or not UTF-8."""
    paths = list(dict.fromkeys(path for name in names for path in _expanded(name)))
    if len(paths) > MAX_FILES:
        raise CtlError("invalid", f"{len(paths)} files are more than a policy may have, the limit is {MAX_FILES}")
    files = []
    room = MAX_POLICY
    for path in paths:
        text = _text(path)
        room -= len(text.encode())
        if room < 0:
            raise CtlError("invalid", f"the policy is too large, the limit is {MAX_POLICY} bytes")
        files.append(PolicyFile(path, text))
    return files


def _expanded(name: str) -> Iterator[str]:
    if name == "-" or not Path(name).is_dir():
        yield name
        return
    found = sorted(path for path in Path(name).glob("*.yaml") if path.is_file())
    if not found:
        raise CtlError("usage", f"{name} has no *.yaml in it", "name a file, or a directory of policy files")
    yield from map(str, found)


def _text(name: str) -> str:
    try:
        # One byte more than the limit is enough to know that it is too much.
        if name == "-":
            raw = sys.stdin.buffer.read(MAX_POLICY + 1)
        else:
            with Path(name).open("rb") as file:
                raw = file.read(MAX_POLICY + 1)
    except OSError as error:
        raise CtlError("usage", f"cannot read {name}: {error.strerror}") from error
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        raise CtlError("invalid", f"{name}:{line}:{column}: not UTF-8", "save the file as UTF-8") from None
