"""Whether whoever may run a command can make it run something else, or write any file, by what everybody knows of it.

What is not among the programs here is not known to be safe.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from jit_server.domain.ask import Command
from jit_server.domain.pattern import Pattern
from jit_server.domain.policy.lint import escapes_by_argument, escapes_by_effect, escapes_by_hand, escapes_by_script
from jit_server.domain.policy.lint.escape import Escape, Opens

PROGRAMS: Mapping[str, Escape] = {
    **escapes_by_hand.PROGRAMS,
    **escapes_by_script.PROGRAMS,
    **escapes_by_argument.PROGRAMS,
    **escapes_by_effect.PROGRAMS,
}
RUNNERS = frozenset(
    name
    for name, escape in escapes_by_argument.PROGRAMS.items()
    if escape.runs_files and escape.opens is not Opens.ALWAYS
)
"""Their exact arguments hold another command, which is looked at instead."""
_FEEDERS = frozenset({"xargs", "parallel"})
"""They give what they read to the other command as its arguments."""
_AFTER_A_PATH = frozenset({"chroot", "nsenter", "unshare", "bwrap", "systemd-nspawn", "flock"})
"""They may name a folder or file before the other command."""
_NESTED = 3
_VERSION = re.compile(r"[-.]?[0-9][0-9.]*$")
_WRITABLE = ("/tmp/", "/var/tmp/", "/dev/shm/", "/home/", "/run/user/", "/media/", "/mnt/")  # noqa: S108
_SYSTEM = ("/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/", "/lib/", "/usr/lib/", "/usr/libexec/", "/usr/games/", "/etc/")


class Leak(StrEnum):
    """What somebody gets beside what the command says."""

    SHELL = "runs anything"
    FREE_ARGUMENTS = "runs anything with some arguments"
    WRITES = "writes any file"


@dataclass(frozen=True, slots=True)
class Way:
    """`how` says by what, `safe` how the command could be named safely."""

    leak: Leak
    how: str
    safe: str


def way_out(command: Command) -> Way | None:
    """The way out of a command that is let through like this; None if none is known."""
    return _way(command, 0)


def lets_out(command: Command) -> Way | None:
    """The same, but only if it runs anything at all, such as a shell."""
    way = way_out(command)
    return None if way is None or way.leak is Leak.WRITES else way


def is_writable(path: str) -> bool:
    """Whether the path is in a folder that others than root write to."""
    return path.startswith(_WRITABLE)


def is_of_the_system(path: str) -> bool:
    """Whether the path is in a folder that packages of the distribution fill, and nobody but root writes to."""
    return path.startswith(_SYSTEM)


def escape_of(name: str) -> Escape | None:
    """What is known of the program of this name; `python3.11` is python, and `vim.tiny` is vim."""
    plain = _VERSION.sub("", name)
    known = (PROGRAMS.get(one) for one in (name, plain, plain.partition(".")[0]))
    return next((escape for escape in known if escape is not None), None)


def script(command: Command) -> str:
    """The file among exact arguments that an interpreter, or a program that runs others, would run; empty: none."""
    escape = escape_of(posixpath.basename(command.path))
    if escape is None or not escape.runs_files or not isinstance(command.args, tuple):
        return ""
    return next((word for word in command.args if word.startswith("/") and not is_of_the_system(word)), "")


def _way(command: Command, depth: int) -> Way | None:
    name = posixpath.basename(command.path)
    escape = escape_of(name)
    if escape is None:
        return None
    match command.args:
        case None:
            leaks = {Opens.ALWAYS: Leak.SHELL, Opens.BARE: Leak.SHELL, Opens.WRITES: Leak.WRITES}
            return Way(leaks.get(escape.opens, Leak.FREE_ARGUMENTS), escape.how, escape.safe)
        case Pattern() as expression:
            return _of_expression(escape, expression)
        case words:
            inner = list(_inner(name, words)) if name in RUNNERS and depth < _NESTED else []
            if inner:
                ways = (_way(one, depth + 1) for one in inner)
                return next((way for way in ways if way is not None), None)
            return _of_words(escape, words)


def _of_words(escape: Escape, words: Sequence[str]) -> Way | None:
    """Nobody can change the words: it lets out only by what it takes while it runs."""
    if escape.opens is Opens.ALWAYS:
        opens = not any(_is(word, escape.calm) for word in words)
    else:
        given = [word for word in words if not word.startswith("-") or _is(word, escape.calm)]
        opens = escape.opens is Opens.BARE and not given
    return Way(Leak.SHELL, escape.how, escape.safe) if opens else None


def _of_expression(escape: Escape, expression: Pattern) -> Way | None:
    for option in escape.options:
        # A word such as `edit` is told from a name only by its place.
        if expression.can_have(option, first=option[0].islower()):
            how = f"{escape.how}; the expression lets {option} through"
            return Way(Leak.FREE_ARGUMENTS, how, escape.safe)
    if escape.opens is Opens.ALWAYS and not any(expression.can_have(option) for option in escape.calm):
        return Way(Leak.SHELL, escape.how, escape.safe)
    return None


def _inner(name: str, words: Sequence[str]) -> Iterator[Command]:
    """What such a program is told to run: the first program it names."""
    for number, word in enumerate(words):
        if word.startswith("/") or escape_of(word) is not None:
            yield Command(word, None if name in _FEEDERS else tuple(words[number + 1 :]))
            if name not in _AFTER_A_PATH:
                return


def _is(word: str, options: Collection[str]) -> bool:
    return any(word == option or word.startswith(f"{option}=") for option in options)
