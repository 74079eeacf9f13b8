"""What a sudo command line asks for, read as sudo's own getopt reads it (REVIEW 4, 9).

An option that changes where or how the command runs in a way no grant can name is refused here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from jit_enforcer.errors import NotAdmitted

_FLAGS: Final = "ABbHiKklNnPSsVv"
_WITH_VALUE: Final = "CDgpTUu"
_REFUSED: Final = "eEhRrtDKlVvUac"
_LONG: Final = {
    "askpass": "A", "auth-type": "a", "background": "b", "bell": "B", "close-from": "C", "login-class": "c",
    "chdir": "D", "preserve-env": "E", "edit": "e", "group": "g", "set-home": "H", "help": "h", "host": "h",
    "login": "i", "remove-timestamp": "K", "reset-timestamp": "k", "list": "l", "no-update": "N",
    "non-interactive": "n", "preserve-groups": "P", "prompt": "p", "chroot": "R", "role": "r", "stdin": "S",
    "shell": "s", "type": "t", "command-timeout": "T", "other-user": "U", "user": "u", "version": "V", "validate": "v",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ask:
    """`user` and `group` as given to -u and -g, None if not given; `argv` is the command and its arguments."""

    user: str | None
    group: str | None
    shell: bool
    login: bool
    argv: tuple[str, ...]


def parse(words: Sequence[str]) -> Ask:
    """Raises `NotAdmitted` for what is not a plain "run this command"."""
    if not words or words[0].rpartition("/")[2].startswith("sudoedit"):
        raise NotAdmitted("sudoedit is not something a grant allows")
    given: dict[str, str] = {}
    at, options_over = 1, False
    while at < len(words):
        word = words[at]
        if not options_over and word == "--":
            options_over = True
            at += 1
        elif not options_over and word.startswith("--"):
            at += _long(word[2:], words[at + 1 :], given)
        elif not options_over and word.startswith("-") and word != "-":
            at += _short(word[1:], words[at + 1 :], given)
        elif not options_over and "=" in word and not word.startswith("/"):
            at += 1
        else:
            break
    return Ask(given.get("u"), given.get("g"), "s" in given, "i" in given, tuple(words[at:]))


def _accept(option: str, value: str | None, given: dict[str, str]) -> None:
    if option in _REFUSED:
        raise NotAdmitted(f"sudo -{option} is not something a grant allows")
    if value == "--":  # sudo takes the word after it for the command, even one that looks like VAR=value
        raise NotAdmitted(f"sudo -{option} with the value -- can be read in two ways")
    given[option] = value or ""


def _short(cluster: str, following: Sequence[str], given: dict[str, str]) -> int:
    """Take one word of short options; returns how many words it used."""
    for at, option in enumerate(cluster, 1):
        if option in _FLAGS or option in _REFUSED:
            _accept(option, None, given)
        elif option not in _WITH_VALUE:
            raise NotAdmitted("sudo with an option we do not know")
        elif at < len(cluster):
            _accept(option, cluster[at:], given)
            return 1
        elif following:
            _accept(option, following[0], given)
            return 2
        else:
            raise NotAdmitted(f"sudo -{option} without its value")
    return 1


def _long(word: str, following: Sequence[str], given: dict[str, str]) -> int:
    """Take one long option, abbreviated or not; returns how many words it used."""
    name, equals, value = word.partition("=")
    options = {_LONG[name]} if name in _LONG else {short for long, short in _LONG.items() if long.startswith(name)}
    if len(options) != 1:
        raise NotAdmitted("sudo with an option we do not know")
    option = options.pop()
    if option in _REFUSED or option in _FLAGS:
        _accept(option, None, given)
    elif equals:
        _accept(option, value, given)
    elif following:
        _accept(option, following[0], given)
        return 2
    else:
        raise NotAdmitted(f"sudo --{name} without its value")
    return 1
