"""From the words after `jit sudo` to what is asked for (SPEC 4.2, ASK), and on to sudo's own command line.

The command is looked up once, over sudo's secure_path, and sudo gets that very
path: what was approved and what runs cannot differ.
"""

from __future__ import annotations

import os
import sys

from jit_cli.errors import Failure, usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from jit_cli.agent_client import Json
    from jit_cli.options import Parsed

SUDO = "/usr/bin/sudo"
# Debian's; the user's own PATH must not decide what runs as somebody else.
SECURE_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


def resolve(word: str) -> str:
    """Return the absolute, normalised path of a command; raise `Failure` if it cannot be run."""
    if "/" in word:
        path = os.path.normpath(os.path.join(os.getcwd(), word))
        if os.path.isdir(path):
            raise Failure("invalid", f"{word}: is a directory")
        if not os.path.exists(path):
            raise Failure("not_found", f"{word}: command not found")
        return path
    for folder in SECURE_PATH:
        path = f"{folder}/{word}"
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    raise Failure("not_found", f"{word}: command not found", f"looked in {':'.join(SECURE_PATH)}")


class Wanted:
    """What the person wants sudo to do: `ask` goes to the agent, `sudo_words` to sudo."""

    __slots__ = ("ask", "sudo_words")

    def __init__(self, ask: dict[str, Json], sudo_words: list[str]) -> None:
        self.ask = ask
        self.sudo_words = sudo_words


def wanted(parsed: Parsed) -> Wanted:
    """Turn a parsed `jit sudo` command line into what is asked for; raise `Failure` for what sudo would not do."""
    shell, login, exact = (parsed.given(name) for name in ("shell", "login", "exact"))
    user, group = run_as(parsed)
    words = command_words(parsed)
    if shell and login:
        raise usage("-s and -i exclude each other")
    if exact and (shell or login):
        raise usage("--exact does not go with a shell: a shell is never one exact command")
    sudo_words = ["-n"] if parsed.given("non-interactive") else []
    for letter, name in (("-u", "user"), ("-g", "group")):
        if parsed.given(name):
            sudo_words += [letter, parsed.text(name)]
    if shell or login:
        argv = [_shell(user, login=login), "-c", " ".join(words)] if words else []
        sudo_words += ["-i" if login else "-s"]
        sudo_words += ["--", *words] if words else []
    elif words:
        argv = [resolve(words[0]), *words[1:]]
        sudo_words += ["--", *argv]
    else:
        raise usage("no command was given", "usage: jit sudo [OPTIONS] [--] COMMAND [ARGUMENT…], or -i for a shell")
    return Wanted(ask(argv, user, group, shell=shell, login=login, exact=exact), sudo_words)


def ask(
    argv: Sequence[str], user: str, group: str, *, shell: bool = False, login: bool = False, exact: bool = False
) -> dict[str, Json]:
    """SPEC 4.2's ASK."""
    return {
        "argv": list(argv),
        "run_as_user": user,
        "run_as_group": group,
        "shell": shell,
        "login": login,
        "exact": exact,
    }


def command_words(parsed: Parsed) -> list[str]:
    """Return the command, or nothing; refuse `NAME=value` where sudo would take it as an assignment."""
    if parsed.after_dashes is not None:
        return parsed.after_dashes
    if parsed.words and "=" in parsed.words[0] and not parsed.words[0].startswith("/"):
        name = parsed.words[0].partition("=")[0]
        raise usage(
            f"{name}=… before the command is not taken: a variable can change what an approved command does",
            f"if your role allows it, ask for it openly: jit sudo env {name}=… COMMAND",
        )
    return parsed.words


def run_as(parsed: Parsed) -> tuple[str, str]:
    """Return the account and group names to run as (empty group: the account's own), as sudo reads -u and -g."""
    group = _group_name(parsed.text("group")) if parsed.given("group") else ""
    if parsed.given("user"):
        return _account_name(parsed.text("user")), group
    if group:
        # sudo -g alone keeps the caller's own account.
        return _account_name(f"#{os.getuid()}"), group
    return "root", ""


def _account_name(text: str) -> str:
    """Return the name for a name or `#UID`; raise `Failure` if this host does not know it."""
    import pwd

    try:
        return pwd.getpwuid(_number(text)).pw_name if text.startswith("#") else pwd.getpwnam(text).pw_name
    except (KeyError, ValueError, OverflowError):
        raise Failure("not_found", f"this host has no account {text!r}") from None


def _group_name(text: str) -> str:
    import grp

    try:
        return grp.getgrgid(_number(text)).gr_name if text.startswith("#") else grp.getgrnam(text).gr_name
    except (KeyError, ValueError, OverflowError):
        raise Failure("not_found", f"this host has no group {text!r}") from None


def _number(text: str) -> int:
    digits = text[1:]
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError(text)
    return int(digits)


def _shell(user: str, *, login: bool) -> str:
    """The shell sudo would start: the target's own for -i, the caller's choice for -s."""
    import pwd

    if not login and os.environ.get("SHELL"):
        return os.environ["SHELL"]
    try:
        return (pwd.getpwnam(user) if login else pwd.getpwuid(os.getuid())).pw_shell or "/bin/sh"
    except KeyError:
        return "/bin/sh"


def run_sudo(sudo_words: Sequence[str]) -> None:
    """Become sudo; raise `Failure` if that is impossible.  sudo alone decides what it lets through."""
    import _signal  # type: ignore[import-not-found]  # the package around it costs 3 ms

    path = os.environ.get("JIT_SUDO") or SUDO
    # Python ignores these two, and exec would hand that on to the command.
    _signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)
    _signal.signal(_signal.SIGXFSZ, _signal.SIG_DFL)
    if sys.flags.utf8_mode and os.environ.get("LC_CTYPE") == "C.UTF-8":
        # Python set it by itself, seeing the C locale (PEP 538).
        del os.environ["LC_CTYPE"]
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execv(path, ["sudo", *sudo_words])  # noqa: S606  # a fixed path and no shell: that is the point
    except OSError as error:
        raise Failure(
            "config", f"cannot run {path}: {(error.strerror or str(error)).lower()}", "run `jit doctor`"
        ) from None
