"""A grant as the server signed it (SPEC 2.2, 2.3): the JSON parsed whole, or refused.

Nothing here asks the host whether the grant may live; see `verify`, `ceiling` and `accounts`.
"""

import re
from dataclasses import dataclass
from typing import Any, Final, Literal

from jit_enforcer import permitted, strictjson
from jit_enforcer.errors import Malformed
from jit_enforcer.permitted import Command

GRANT_ID: Final = re.compile(r"gnt-[0-9a-hjkmnp-tv-z]{16}")
SESSION_ID: Final = re.compile(r"ses-[0-9a-hjkmnp-tv-z]{16}")
HOST_ID: Final = re.compile(r"hst-[0-9a-hjkmnp-tv-z]{16}")
BOOT_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_MOST_VARIABLES: Final = 64
RECORDINGS: Final = ("none", "events", "output", "input")
# Year 9999: the last NOTAFTER sudo can write.
_LAST_US: Final = 253_402_300_799_000_000
_LAST_UID: Final = 2**32 - 2
_LAST_SESSION: Final = 2**32 - 2
_LONGEST_WATCH_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Grant:
    """Times are µs UTC; `remaining_s` counts from signing.  `record` is one of `RECORDINGS`, laxest first.

    `until` later than `not_after`: a lease, to be signed anew while the server is heard (SPEC 2.6).  `session`: the
    audit session sudo must come from; 0 is any.  `watch_s` 0: nobody needs to watch.  `directory` empty: where the
    person is.  `environment`: variables of the person's that commands see beside those sudo always passes.
    """

    grant: str
    revision: int
    host: str
    boot: str
    uid: int
    user: str
    run_as_user: str
    run_as_group: str
    commands: tuple[Command, ...] | Literal["ALL"]
    directory: str
    environment: tuple[str, ...]
    shell: bool
    record: str
    required: bool
    subcommands: bool
    watch_s: int
    role: str
    not_before: int
    not_after: int
    until: int
    once: bool
    session: int
    remaining_s: int


def _integer(key: str, value: object, low: int, high: int) -> int:
    if type(value) is not int or not low <= value <= high:
        raise Malformed(f"grant with a bad {key}")
    return value


def _boolean(key: str, value: object) -> bool:
    if type(value) is not bool:
        raise Malformed(f"grant with a bad {key}")
    return value


def _text(key: str, value: object, low: int, high: int) -> str:
    if not isinstance(value, str) or not low <= len(value) <= high or not value.isprintable():
        raise Malformed(f"grant with a bad {key}")
    return value


def _matching(key: str, value: object, pattern: re.Pattern[str]) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise Malformed(f"grant with a bad {key}")
    return value


def _commands(value: object) -> tuple[Command, ...] | Literal["ALL"]:
    if value == "ALL":
        return "ALL"
    if not isinstance(value, list) or not 1 <= len(value) <= 200:
        raise Malformed("grant with bad commands")
    return tuple(permitted.parse(one) for one in value)


def _directory(value: object) -> str:
    return str(value) if value in ("", "/") else permitted.path("directory", _text("directory", value, 1, 4096))


def _environment(value: object) -> tuple[str, ...]:
    """Names in the one order, each once, none of which sudoers reads as a wildcard or a value."""
    if not isinstance(value, list) or len(value) > _MOST_VARIABLES:
        raise Malformed("grant with a bad environment")
    names = tuple(_matching("environment", name, _VARIABLE) for name in value)
    if list(names) != sorted(set(names)):
        raise Malformed("grant with a bad environment")
    return names


def parse(untrusted: bytes) -> Grant:
    """Turn the signed JSON into a `Grant`.  Raises `Malformed`."""
    fields: dict[str, Any] = strictjson.parse_object(untrusted)
    if fields.keys() != set(Grant.__slots__):
        raise Malformed("grant with missing or unknown keys")
    record, commands = fields["record"], _commands(fields["commands"])
    shell, once = _boolean("shell", fields["shell"]), _boolean("once", fields["once"])
    if shell and commands != "ALL":
        raise Malformed("grant with a bad shell")
    if record not in RECORDINGS:
        raise Malformed("grant with a bad record")
    not_after = _integer("not_after", fields["not_after"], 1, _LAST_US)
    return Grant(
        grant=_matching("grant", fields["grant"], GRANT_ID),
        revision=_integer("revision", fields["revision"], 1, 2**31 - 1),
        host=_matching("host", fields["host"], HOST_ID),
        boot=_matching("boot", fields["boot"], BOOT_ID),
        uid=_integer("uid", fields["uid"], 1, _LAST_UID),
        user=_text("user", fields["user"], 1, 256),
        run_as_user=_text("run_as_user", fields["run_as_user"], 1, 256),
        run_as_group=_text("run_as_group", fields["run_as_group"], 0, 256),
        commands=commands,
        directory=_directory(fields["directory"]),
        environment=_environment(fields["environment"]),
        shell=shell,
        record=record,
        required=_boolean("required", fields["required"]),
        subcommands=_boolean("subcommands", fields["subcommands"]),
        watch_s=_integer("watch_s", fields["watch_s"], 0, _LONGEST_WATCH_S),
        role=_text("role", fields["role"], 1, 128),
        not_before=_integer("not_before", fields["not_before"], 1, not_after),
        not_after=not_after,
        until=_integer("until", fields["until"], not_after, _LAST_US),
        once=once,
        session=_integer("session", fields["session"], 0, _LAST_SESSION),
        remaining_s=_integer("remaining_s", fields["remaining_s"], 1, 2**31 - 1),
    )
