"""Further places that the host's own configuration names: homes, files of keys, included files (SPEC 3.6)."""

import fnmatch
import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from jit_footprint.places import Place

_SUDO_INCLUDE: Final = re.compile(r'^[ \t]*[@#]include(dir)?[ \t]+("[^"]+"|(?:\\.|[^\s"\\])+)', re.MULTILINE)
_TOKEN: Final = re.compile(r"%(.)")
# Written and removed by the enforcer all the time.
_OURS: Final = "/run/jit/sudoers.d"


@dataclass(frozen=True, slots=True)
class Account:
    name: str
    uid: int
    home: str


def accounts(passwd: str) -> Iterator[Account]:
    """The accounts of passwd(5) that have a home somewhere; a line that is not of that form is passed over."""
    for line in passwd.splitlines():
        match line.split(":"):
            case [name, _, uid, _, _, home, _] if uid.isdecimal() and home.startswith("/"):
                yield Account(name, int(uid), home)


def sudo_includes(sudoers: str) -> Iterator[Place]:
    """What this file of sudoers includes (sudoers(5), "Including other files")."""
    for found in _SUDO_INCLUDE.finditer(sudoers):
        path = re.sub(r"\\(.)", r"\1", found[2].strip('"')).replace("%h", os.uname().nodename.partition(".")[0])
        path = os.path.join("/etc", path)
        if path != _OURS:
            yield Place("sudoers", path, depth=1 if found[1] else 0)


@dataclass(frozen=True, slots=True)
class Sshd:
    """What sshd_config(5) says of keys: patterns per account, further files, and files that are read as well."""

    patterns: tuple[str, ...]
    files: tuple[Place, ...]
    includes: tuple[Place, ...]


def sshd(config: str) -> Sshd:
    """Read one file of sshd's configuration; what is in a Match block counts as well."""
    patterns: list[str] = []
    files: list[Place] = []
    includes: list[Place] = []
    for line in config.splitlines():
        match _words(line):
            case ["authorizedkeysfile" | "authorizedprincipalsfile", *values]:
                patterns += (value for value in values if value.lower() != "none")
            case ["trustedusercakeys" | "authorizedkeyscommand" | "authorizedprincipalscommand", value, *_]:
                if value.startswith("/"):
                    files.append(Place("keys", value))
            case ["include", *values]:
                includes += (_glob(os.path.join("/etc/ssh", value)) for value in values)
    return Sshd(tuple(patterns), tuple(files), tuple(includes))


def expand(pattern: str, account: Account) -> str | None:
    """The file that sshd would read for this account; None for a pattern that is not understood."""
    known = {"%": "%", "h": account.home, "u": account.name, "U": str(account.uid)}
    if set(_TOKEN.findall(pattern)) - known.keys():
        return None
    path = _TOKEN.sub(lambda token: known[token[1]], pattern)
    return os.path.join(account.home, path)


def _words(line: str) -> list[str]:
    """The keyword in lower case, and its arguments."""
    keyword, _, rest = re.sub(r"[\s=]+", " ", line.strip(), count=1).partition(" ")
    try:
        return [keyword.lower(), *shlex.split(rest, comments=True)]
    except ValueError:
        return [keyword.lower(), *rest.split()]


def _glob(pattern: str) -> Place:
    """A pattern in the last part of a path, as a folder and the names that count there."""
    folder, _, name = pattern.rpartition("/")
    if not re.search(r"[*?\[]", name):
        return Place("keys", pattern)
    return Place("keys", folder or "/", depth=1, names=re.compile(fnmatch.translate(name)))
