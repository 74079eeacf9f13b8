"""What a command in a policy file looks like, and is not: habits of sudoers and shells that would mean something else.

sudo reads a wildcard, a blank, a `!` or a folder as far more than they seem to say.  Each is an error here that names
the safe way to say it (SPEC 9.3).  What a person asks for exactly is only held against `ask.command_problem`: nobody
means `*` by the `*` in it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence

from jit_server.domain.ask import ALL, Command, command_problem

_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_TAG = re.compile(r"(NO)?[A-Z_]+:|[A-Z][A-Z0-9_]*")
_GLOB = re.compile(r"[*?\[]")
_ESCAPED = re.compile(r"\\[,:=#*?!\[\] ]")


def command_trap(command: Command) -> str | None:
    """Say what is wrong with a command of a policy file, and what to write instead; None if it means what it says."""
    problem = _path_trap(command.path)
    if problem is None and isinstance(command.args, tuple):
        problem = _words_trap(command.path, command.args)
    return problem or command_problem(command)


def _path_trap(path: str) -> str | None:
    shown = ascii(path[:80])
    if path == ALL:
        return "ALL among commands would be all of them: write `commands: ALL` where that is meant"
    if path.startswith("!"):
        return f"{shown}: `!` forbids nothing that a copy or a shell does not get around: list what is allowed instead"
    if path in ("sudoedit", "-e") or path.endswith("/sudoedit"):
        return f"{shown}: sudoedit lets its user choose the editor: name a program that puts the file in place"
    if _ASSIGNMENT.match(path):
        return f"{shown} sets a variable: name it under `environment:`, and begin the command with its program"
    if _TAG.fullmatch(path):
        return f"{shown} looks like a tag or an alias of sudoers: use the role's own keys, and a bundle for an alias"
    if path.startswith(("^", "~")):
        return f"{shown} is not a full path: name one program, and write {{path: …, args: {{regex: …}}}}"
    if not path.startswith("/"):
        return f"{shown} is not a full path, and sudo would look for it: write /usr/bin/{_plain(path)}"
    if path.endswith("/"):
        return f"{shown} is a folder, which lets every program in it through, later ones too: name the programs"
    if _GLOB.search(path):
        return f"{shown} has a wildcard, which lets later files through as well: name the programs"
    plain = "/" + posixpath.normpath(path).lstrip("/")
    if plain != path:
        return f"{shown} takes a way around: write {plain[:80]!a}"
    return None


def _words_trap(path: str, words: Sequence[str]) -> str | None:
    if posixpath.basename(path) == "env" and any(_ASSIGNMENT.match(word) for word in words):
        return f"{path} sets a variable for another program: name it under `environment:`, and the program as command"
    if words and words[0].startswith("^") and words[-1].endswith("$"):
        return "an expression among plain arguments: write {path: …, args: {regex: …}}"
    for word in words:
        shown = ascii(word[:80])
        if word in ("", '""'):
            return "an empty argument cannot be told from none: for no arguments at all write none"
        if " " in word or "\t" in word:
            return (
                f"the argument {shown} has a blank, and sudo cannot tell it from two arguments: "
                "put the command line into a script, and name that"
            )
        if _ESCAPED.search(word):
            return f"the argument {shown} is escaped as in sudoers: write it as the program is to see it"
        if _GLOB.search(word):
            return (
                f"the argument {shown} has a wildcard, which sudo lets match blanks and slashes too: "
                "list the arguments, or write {path: …, args: {regex: '^…$'}}"
            )
    return None


def _plain(path: str) -> str:
    name = posixpath.basename(path)
    return name if re.fullmatch(r"[A-Za-z0-9._+@-]+", name) else "NAME"
