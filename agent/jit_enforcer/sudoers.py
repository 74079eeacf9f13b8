"""A grant in the language of sudoers, and what sudo's own parser must make of it (DESIGN 5, REVIEW 3, S1, S12).

Pure.  Users are written as numbers, the only form that no hostile name breaks out of.  Rule files hold rules only;
what applies to the whole user, what is recorded among it, stands in one file of Defaults: the strict set.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from jit_enforcer.accounts import RunAs
from jit_enforcer.grant import Grant
from jit_enforcer.pattern import Pattern
from jit_enforcer.permitted import Command
from jit_enforcer.recording import Recording

Options = dict[str, bool | str | list[str]]

# Together these make sudo refuse when nobody answers on the log port, and keep `su -` inside the scope (REVIEW 1).
STRICT: Final[Options] = {
    "log_servers": ["127.0.0.1:843"],
    "ignore_logfile_errors": False,
    "ignore_iolog_errors": False,
    "log_allowed": True,
    "log_denied": True,
    "log_passwords": False,
    "use_pty": True,
    "timestamp_timeout": "0",
    "passwd_timeout": "1",
    "pam_session": False,
    "env_file": "/run/jit/session.env",
    "mail_badpass": False,
    "mail_no_user": False,
    "mail_no_perms": False,
}
# In seconds: how long sudo waits for an answer, and for the first who watches (SPEC 8.5).
_PATIENCE: Final = "10"
_PATIENCE_OF_WATCHED: Final = "300"
# What Defaults by these names are made of.
_PARTS: Final = {"log_output": ("log_stdout", "log_stderr", "log_ttyout"), "log_input": ("log_stdin", "log_ttyin")}


def settings(recording: Recording, environment: Sequence[str]) -> Options:
    """What is recorded, and which variables are passed beside those the host's own Defaults pass.

    Below 1.9.18 sudo tells how a command ended only if it logs something of it (REVIEW 15): of all it could, errors
    written to a pipe are the least, and on a terminal they are nothing.  The agent drops what is not to be kept.
    """
    kept: Options = {"env_keep+": list(environment)} if environment else {}
    return (
        STRICT
        | kept
        | {
            "log_server_timeout": _PATIENCE_OF_WATCHED if recording.watch_s else _PATIENCE,
            "log_output": recording.record in ("output", "input"),
            "log_stderr": True,  # after log_output, which sets it too
            "log_input": recording.record == "input",
            "log_subcmds": recording.subcommands,
        }
    )


def guarded(applied: Iterable[Options]) -> Options:
    """What Defaults of the host's own must leave as it is, or must not set, while these settings apply.

    More than is needed may be recorded, and output always must be: a grant that needs it may come.
    """
    recorded = {"log_output"}.union(*({name for name, value in one.items() if value is True} for one in applied))
    recorded |= {part for name in recorded for part in _PARTS.get(name, ())}
    return STRICT | {"log_server_timeout": _PATIENCE} | dict.fromkeys(sorted(recorded), True)


def defaults_name(uid: int) -> str:
    return f"uid-{uid}"


def defaults(uid: int, recording: Recording, environment: Sequence[str]) -> str:
    """The Defaults of one user."""
    words = []
    for name, value in settings(recording, environment).items():
        match value:
            case bool():
                words.append(name if value else f"!{name}")
            case str():
                words.append(f"{name}={value}")
            case _:
                words.append(f'{name}="{" ".join(value)}"')
    return f"Defaults:#{uid} {', '.join(words)}\n"


def expected_defaults(uid: int, recording: Recording, environment: Sequence[str]) -> dict[str, Any]:
    """`defaults` as cvtsudoers must show it once its options are merged."""
    return {"Binding": [{"userid": uid}], "Options": settings(recording, environment)}


def not_after(grant: Grant) -> str:
    """The last second in which sudo may say yes: sudo lets the whole of the second NOTAFTER names pass (S2)."""
    return f"{datetime.fromtimestamp(grant.not_after // 1_000_000 - 1, UTC):%Y%m%d%H%M%SZ}"


def rule(grant: Grant, run_as: RunAs) -> str:
    """The rule of one grant."""
    target = f"#{run_as.uid}" if run_as.gid is None else f"#{run_as.uid}:#{run_as.gid}"
    words = ["ALL"] if grant.commands == "ALL" else [_digest(one) + _spelled(one, _WRITTEN) for one in grant.commands]
    where = f"CWD={grant.directory} " if grant.directory else ""
    return f"#{grant.uid} ALL=({target}) {where}NOTAFTER={not_after(grant)} NOPASSWD:NOSETENV: {', '.join(words)}\n"


def expected_rule(grant: Grant, run_as: RunAs) -> dict[str, Any]:
    """`rule` as cvtsudoers must show it once its options are merged."""
    spec: dict[str, Any] = {"runasusers": [{"userid": run_as.uid}]}
    if run_as.gid is not None:
        spec["runasgroups"] = [{"usergroup": f"#{run_as.gid}"}]
    spec["Options"] = {"notafter": not_after(grant), "authenticate": False, "setenv": False}
    if grant.directory:
        spec["Options"]["runcwd"] = grant.directory
    spec["Commands"] = [{"command": "ALL"}] if grant.commands == "ALL" else list(map(_understood, grant.commands))
    return {"User_List": [{"userid": grant.uid}], "Host_List": [{"hostname": "ALL"}], "Cmnd_Specs": [spec]}


# What fnmatch(3) or a regular expression would read into a word stays escaped in sudo's hands; what only the
# sudoers lexer would read loses its backslash there.  A backslash itself is escaped for both.
_WRITTEN: Final = str.maketrans({c: f"\\{c}" for c in "*?[]!^,:=#"} | {"\\": "\\" * 4})
_UNDERSTOOD: Final = str.maketrans({c: f"\\{c}" for c in "*?[]!^"} | {"\\": "\\" * 2})


def _understood(command: Command) -> dict[str, str]:
    digest = {"sha256": command.sha256} if command.sha256 else {}
    return {"command": _spelled(command, _UNDERSTOOD)} | digest


def _digest(command: Command) -> str:
    return f"sha256:{command.sha256} " if command.sha256 else ""


def _spelled(command: Command, alphabet: dict[int, str]) -> str:
    if command.args is None:
        return command.path
    if isinstance(command.args, Pattern):  # sudo's lexer leaves all of it as it is
        return f"{command.path} {command.args.regex}"
    if not command.args:
        return f'{command.path} ""'
    return " ".join((command.path, *(word.translate(alphabet) for word in command.args)))
