"""A grant in the language of sudoers, and what sudo's own parser must make of it (DESIGN 5, REVIEW 3, S1, S12).

Pure.  Users are written as numbers, the only form that no hostile name breaks out of.  Rule files hold rules only;
what applies to the whole user stands in one file of Defaults, always the strict set.
"""

from datetime import UTC, datetime
from typing import Any, Final

from jit_enforcer.accounts import RunAs
from jit_enforcer.grant import Command, Grant

# Together these make sudo refuse when nobody answers on the log port, and keep `su -` inside the scope (REVIEW 1).
STRICT: Final[dict[str, bool | str | list[str]]] = {
    "log_servers": ["127.0.0.1:843"],
    "log_server_timeout": "10",
    "ignore_logfile_errors": False,
    "ignore_iolog_errors": False,
    "log_allowed": True,
    "log_denied": True,
    "log_output": True,
    "use_pty": True,
    "timestamp_timeout": "0",
    "passwd_timeout": "1",
    "pam_session": False,
    "env_file": "/run/jit/session.env",
    "mail_badpass": False,
    "mail_no_user": False,
    "mail_no_perms": False,
}
# Keystrokes are recorded only where the role wants it, and passwords never.
RECORD_INPUT: Final[dict[str, bool | str | list[str]]] = {"log_input": True, "log_passwords": False}


def settings(*, record_input: bool) -> dict[str, bool | str | list[str]]:
    return STRICT | RECORD_INPUT if record_input else STRICT


def defaults_name(uid: int) -> str:
    return f"uid-{uid}"


def defaults(uid: int, *, record_input: bool) -> str:
    """The Defaults of one user."""
    words = []
    for name, value in settings(record_input=record_input).items():
        match value:
            case bool():
                words.append(name if value else f"!{name}")
            case str():
                words.append(f"{name}={value}")
            case _:
                words.append(f"{name}={' '.join(value)}")
    return f"Defaults:#{uid} {', '.join(words)}\n"


def expected_defaults(uid: int, *, record_input: bool) -> dict[str, Any]:
    """`defaults` as cvtsudoers must show it once its options are merged."""
    return {"Binding": [{"userid": uid}], "Options": settings(record_input=record_input)}


def not_after(grant: Grant) -> str:
    """The last second in which sudo may say yes: sudo lets the whole of the second NOTAFTER names pass (S2)."""
    return f"{datetime.fromtimestamp(grant.not_after // 1_000_000 - 1, UTC):%Y%m%d%H%M%SZ}"


def rule(grant: Grant, run_as: RunAs) -> str:
    """The rule of one grant."""
    target = f"#{run_as.uid}" if run_as.gid is None else f"#{run_as.uid}:#{run_as.gid}"
    tags = "NOPASSWD:NOSETENV:LOG_INPUT:LOG_OUTPUT:" if grant.record == "input" else "NOPASSWD:NOSETENV:LOG_OUTPUT:"
    words = ["ALL"] if grant.commands == "ALL" else [_spelled(command, _WRITTEN) for command in grant.commands]
    return f"#{grant.uid} ALL=({target}) NOTAFTER={not_after(grant)} {tags} {', '.join(words)}\n"


def expected_rule(grant: Grant, run_as: RunAs) -> dict[str, Any]:
    """`rule` as cvtsudoers must show it once its options are merged."""
    spec: dict[str, Any] = {"runasusers": [{"userid": run_as.uid}]}
    if run_as.gid is not None:
        spec["runasgroups"] = [{"usergroup": f"#{run_as.gid}"}]
    spec["Options"] = {"notafter": not_after(grant), "authenticate": False, "setenv": False, "log_output": True}
    if grant.record == "input":
        spec["Options"]["log_input"] = True
    words = ["ALL"] if grant.commands == "ALL" else [_spelled(command, _UNDERSTOOD) for command in grant.commands]
    spec["Commands"] = [{"command": word} for word in words]
    return {"User_List": [{"userid": grant.uid}], "Host_List": [{"hostname": "ALL"}], "Cmnd_Specs": [spec]}


# What fnmatch(3) or a regular expression would read into a word stays escaped in sudo's hands; what only the
# sudoers lexer would read loses its backslash there.  A backslash itself is escaped for both.
_WRITTEN: Final = str.maketrans({c: f"\\{c}" for c in "*?[]!^,:=#"} | {"\\": "\\" * 4})
_UNDERSTOOD: Final = str.maketrans({c: f"\\{c}" for c in "*?[]!^"} | {"\\": "\\" * 2})


def _spelled(command: Command, alphabet: dict[int, str]) -> str:
    if command.args is None:
        return command.path
    if not command.args:
        return f'{command.path} ""'
    return " ".join((command.path, *(word.translate(alphabet) for word in command.args)))
