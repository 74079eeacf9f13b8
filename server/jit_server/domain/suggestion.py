"""The commands of a role that would do for what was really run under it (least privilege, SPEC 9.8).

Each is exact.  Where a program was run with many different arguments an expression for them is put beside it as a
comment: whether that is meant, a person has to say.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jit_server.domain import pattern, shell
from jit_server.domain.ask import MAX_COMMANDS, Command, narrowed
from jit_server.domain.pattern import Pattern
from jit_server.domain.policy.model import Role
from jit_server.domain.policy.trap import command_trap
from jit_server.domain.span import instant

MANY = 20
"""More different arguments of one program than this are worth an expression."""
_SHELLS = frozenset({"ash", "bash", "csh", "dash", "fish", "ksh", "mksh", "rbash", "sh", "tcsh", "zsh", "su", "sudo"})
_RANGES = (("a-z", re.compile(r"[a-z]")), ("A-Z", re.compile(r"[A-Z]")), ("0-9", re.compile(r"[0-9]")))


@dataclass(frozen=True, slots=True)
class Run:
    """One command line that was run: how often, by how many people, and when last (µs UTC)."""

    path: str
    args: tuple[str, ...]
    run_as_user: str
    count: int
    people: int
    last_at: int


@dataclass(frozen=True, slots=True)
class Proposed:
    """A command, and what is to be said of it, a line each."""

    command: Command
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Commands by path and arguments; and what was run and is none of them, a line each."""

    commands: tuple[Proposed, ...]
    left_out: tuple[str, ...]


def suggestion(role: Role, runs: Iterable[Run]) -> Suggestion:
    """What of the runs can be written as a command of the role; the most frequent ones if there are too many."""
    kept: dict[Command, list[Run]] = defaultdict(list)
    left_out: list[str] = []
    for run in runs:
        # A program that the role holds to a digest stays held to it.
        pinned = narrowed(role.commands, (run.path, *run.args))
        exact = [one for one in pinned if isinstance(one, Command)] or [Command(run.path, run.args)]
        for command in exact:
            why = _unfit(role, command, run)
            if why is None:
                kept[command].append(run)
            else:
                left_out.append(f"{command} ({_times(run.count)}): {why}")
    frequent = sorted(kept, key=lambda command: -sum(run.count for run in kept[command]))
    for command in frequent[MAX_COMMANDS:]:
        times = _times(sum(run.count for run in kept[command]))
        left_out.append(f"{command} ({times}): a role has {MAX_COMMANDS} commands at most")
    chosen = sorted(frequent[:MAX_COMMANDS], key=lambda command: (command.path, command.args or (), command.sha256))
    noted: set[str] = set()
    proposed: list[Proposed] = []
    for command in chosen:
        notes = [_note(kept[command])]
        if command.path not in noted:
            noted.add(command.path)
            notes = [*_many([one for one in chosen if one.path == command.path]), *notes]
        proposed.append(Proposed(command, tuple(notes)))
    return Suggestion(tuple(proposed), tuple(left_out))


def _unfit(role: Role, command: Command, run: Run) -> str | None:
    if not run.path:
        return "the host did not say which program it was"
    if posixpath.basename(run.path) in _SHELLS:
        return "it is a shell, which runs anything: name what is run in it"
    if run.run_as_user not in role.run_as_users:
        return f"it ran as {run.run_as_user}, which the role does not do now"
    return command_trap(command)


def _note(runs: Sequence[Run]) -> str:
    count, people = sum(run.count for run in runs), max(run.people for run in runs)
    by = "1 person" if people == 1 else f"{people} people"
    return f"{_times(count)} by {by}, last at {instant(max(run.last_at for run in runs))}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _many(commands: Sequence[Command]) -> list[str]:
    """Lines about a program that was run with many different arguments; none about others."""
    if len(commands) <= MANY:
        return []
    path, words = commands[0].path, [one.args for one in commands if isinstance(one.args, tuple)]
    told = f"{shell.quote(path)} was run with {len(commands)} different arguments."
    text = expression(words)
    if text is None:
        return [f"{told}  If more of their kind are meant, write an expression: {{path: …, args: {{regex: '^…$'}}}}"]
    return [f"{told}  If all of their kind are meant, write: {{path: {path}, args: {{regex: '{text}'}}}}"]


def expression(lines: Sequence[Sequence[str]]) -> str | None:
    """An expression that matches all these arguments, and of each place in them no other kinds of characters.

    None where the small language has none, or their numbers differ.
    """
    if not lines or len({len(words) for words in lines}) != 1 or not lines[0]:
        return None
    text = f"^{' '.join(_place({words[number] for words in lines}) for number in range(len(lines[0])))}$"
    if "'" in text or pattern.problem(text) is not None:
        return None
    return text if all(Pattern(text).matches_words(words) for words in lines) else None


def _place(words: set[str]) -> str:
    if len(words) == 1:
        return re.sub(r"([][\\.^$*+?(){}|#])", r"\\\1", next(iter(words)))
    characters = "".join(words)
    ranges = "".join(name for name, found in _RANGES if found.search(characters))
    # A hyphen last stands for itself.
    others = sorted({one for one in characters if not one.isalnum()}, key=lambda one: (one == "-", one))
    return f"[{ranges}{''.join(others)}]{{1,{max(map(len, words))}}}"
