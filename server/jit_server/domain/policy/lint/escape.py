"""What is known of a program that runs other programs or writes any file: when, how, and what keeps it from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

EXACT = "list the exact arguments"
NO_PAGER = "name it with --no-pager and exact arguments"
INSTALL = "name a program of yours that puts one file in its place"


class Opens(Enum):
    """When a program lets out."""

    ALWAYS = auto()
    """While it runs, by what is typed into it or what it reads: exact arguments do not help."""
    BARE = auto()
    """Without a script or command it waits for commands; with exact arguments it runs only these."""
    ARGUMENTS = auto()
    """By some of its arguments: exact ones are what whoever wrote the policy chose."""
    WRITES = auto()
    """With free arguments it writes any file, or changes any account; whoever does so as root is root."""


@dataclass(frozen=True, slots=True)
class Escape:
    """`how` says by what it lets out, `safe` how it could be named safely.

    `options` are beginnings of the arguments that let out, for expressions; lower-case words only of the first one.
    `calm` are arguments with which a program that opens always does not.  `runs_files`: a file among them is run.
    """

    opens: Opens
    how: str
    options: tuple[str, ...] = ()
    calm: tuple[str, ...] = ()
    safe: str = EXACT
    runs_files: bool = False


def family(
    names: str,
    opens: Opens,
    how: str,
    *,
    options: tuple[str, ...] = (),
    calm: tuple[str, ...] = (),
    safe: str = EXACT,
    runs_files: bool = False,
) -> Iterator[tuple[str, Escape]]:
    """The same for each of these programs, whose names have blanks between them."""
    escape = Escape(opens, how, options, calm, safe, runs_files)
    return ((name, escape) for name in names.split())
