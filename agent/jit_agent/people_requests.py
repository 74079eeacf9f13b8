"""What `jit` may ask over the local socket (SPEC 4.2): one line in, one frozen value out, or `Malformed`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from jit_agent.errors import AgentError, Malformed
from jit_agent.model import Ask

MAX_LINE = 65_536
MAX_WORDS = 1_000
MAX_REASON = 1_000
MAX_TICKET = 200
MAX_NAME = 256
MAX_SECRET = 256
MAX_DURATION_S = 366 * 86_400
MAX_SESSIONS = 1_000
MAX_HOSTS = 100
MAX_INSTANT = 2**53
"""µs UTC: the year 2255, and the largest number every JSON reader agrees on."""


@dataclass(frozen=True, slots=True)
class Plan:
    ask: Ask
    role: str


@dataclass(frozen=True, slots=True)
class MakeRequest:
    role: str
    ask: Ask
    duration_s: int
    reason: str
    ticket: str
    otp: str = field(repr=False)
    once: bool
    this_session: bool
    starts_at: int
    hosts: tuple[str, ...]
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Extend:
    """`grant` is an id, a prefix of one, or empty for the only one the person has."""

    grant: str
    duration_s: int
    reason: str
    ticket: str
    otp: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Wait:
    request: str


@dataclass(frozen=True, slots=True)
class ListRoles:
    pass


@dataclass(frozen=True, slots=True)
class ListEligibilities:
    pass


@dataclass(frozen=True, slots=True)
class Renew:
    role: str
    reason: str


@dataclass(frozen=True, slots=True)
class Status:
    include_over: bool


@dataclass(frozen=True, slots=True)
class Cancel:
    request: str


@dataclass(frozen=True, slots=True)
class Drop:
    """`grant` is an id, a prefix of one, or empty for all of the person's."""

    grant: str


@dataclass(frozen=True, slots=True)
class MfaBegin:
    token: str


@dataclass(frozen=True, slots=True)
class MfaConfirm:
    token: str
    otp: str


@dataclass(frozen=True, slots=True)
class Log:
    """`session` is an id, a prefix of one, or empty for the newest `limit` (0: as many as the agent thinks fit)."""

    session: str
    limit: int


@dataclass(frozen=True, slots=True)
class Doctor:
    pass


PeopleRequest = (
    Plan
    | MakeRequest
    | Extend
    | Wait
    | ListRoles
    | ListEligibilities
    | Renew
    | Status
    | Cancel
    | Drop
    | MfaBegin
    | MfaConfirm
    | Log
    | Doctor
)


def parse(untrusted_line: bytes) -> PeopleRequest:
    """Unknown operations, unknown keys, wrong types and anything over a limit of SPEC 7 are refused."""
    try:
        untrusted = json.loads(untrusted_line)
    except (ValueError, RecursionError) as e:
        raise Malformed("the request is not one line of JSON") from e
    if not isinstance(untrusted, dict):
        raise Malformed("the request is not a JSON object")
    table = _Table(untrusted)
    request = _request(table)
    table.refuse_rest()
    return request


def _request(table: _Table) -> PeopleRequest:
    match table.text("op", MAX_NAME):
        case "plan":
            return Plan(_ask(table.object("ask")), table.text("role", MAX_NAME, default=""))
        case "request":
            return MakeRequest(
                role=table.text("role", MAX_NAME),
                ask=_ask(table.object("ask")),
                duration_s=table.integer("duration_s", MAX_DURATION_S),
                reason=table.text("reason", MAX_REASON, default=""),
                ticket=table.text("ticket", MAX_TICKET, default=""),
                otp=table.text("otp", MAX_SECRET, default=""),
                once=table.boolean("once"),
                this_session=table.boolean("this_session"),
                starts_at=table.integer("starts_at", MAX_INSTANT),
                hosts=table.texts("hosts", most=MAX_HOSTS, limit=MAX_NAME, default=()),
                dry_run=table.boolean("dry_run"),
            )
        case "extend":
            return Extend(
                grant=table.text("grant", MAX_NAME, default=""),
                duration_s=table.integer("duration_s", MAX_DURATION_S),
                reason=table.text("reason", MAX_REASON, default=""),
                ticket=table.text("ticket", MAX_TICKET, default=""),
                otp=table.text("otp", MAX_SECRET, default=""),
            )
        case "wait":
            return Wait(table.text("request", MAX_NAME))
        case "ls":
            return ListRoles()
        case "eligibilities":
            return ListEligibilities()
        case "renew":
            return Renew(table.text("role", MAX_NAME), table.text("reason", MAX_REASON))
        case "status":
            return Status(include_over=table.boolean("all"))
        case "cancel":
            return Cancel(table.text("request", MAX_NAME))
        case "drop":
            return Drop(table.text("grant", MAX_NAME, default=""))
        case "mfa_begin":
            return MfaBegin(table.text("token", MAX_SECRET))
        case "mfa_confirm":
            return MfaConfirm(table.text("token", MAX_SECRET), table.text("otp", MAX_SECRET))
        case "log":
            return Log(table.text("session", MAX_NAME, default=""), table.integer("limit", MAX_SESSIONS))
        case "doctor":
            return Doctor()
        case _:
            raise AgentError("the request asks for nothing the agent knows", code="usage", hint="see: jit help")


def _ask(table: _Table) -> Ask:
    ask = Ask(
        argv=table.texts("argv"),
        run_as_user=table.text("run_as_user", MAX_NAME, default="root"),
        run_as_group=table.text("run_as_group", MAX_NAME, default=""),
        shell=table.boolean("shell"),
        login=table.boolean("login"),
        exact=table.boolean("exact"),
    )
    table.refuse_rest()
    if ask.argv and not ask.argv[0].startswith("/"):
        raise Malformed("the command is not named by its absolute path")
    if not ask.run_as_user:
        raise Malformed("the run-as user is missing")
    return ask


class _Table:
    """An untrusted JSON object that gives up its keys one by one; what is left over was not agreed."""

    def __init__(self, untrusted: dict[str, Any]) -> None:
        self._rest = dict(untrusted)

    def refuse_rest(self) -> None:
        if self._rest:
            raise Malformed(f"the request has a key {min(self._rest)[:40]!a} that the agent does not know")

    def text(self, key: str, limit: int, *, default: str | None = None) -> str:
        value = self._rest.pop(key, default)
        if not isinstance(value, str):
            raise Malformed(f"{key} is missing or not a text")
        if len(value) > limit:
            raise Malformed(f"{key} has {len(value)} characters, limit {limit}")
        # A lone surrogate is JSON, but nothing the server or a terminal could be given.
        if "\0" in value or (not value.isascii() and _has_surrogate(value)):
            raise Malformed(f"{key} holds a character that is none")
        return value

    def texts(
        self, key: str, *, most: int = MAX_WORDS, limit: int = MAX_LINE, default: tuple[str, ...] | None = None
    ) -> tuple[str, ...]:
        if key not in self._rest and default is not None:
            return default
        values = self._rest.pop(key, None)
        if not isinstance(values, list):
            raise Malformed(f"{key} is missing or not a list")
        if len(values) > most:
            raise Malformed(f"{key} has {len(values)} words, limit {most}")
        return tuple(_Table({key: value}).text(key, limit) for value in values)

    def integer(self, key: str, limit: int) -> int:
        value = self._rest.pop(key, 0)
        if type(value) is not int or not 0 <= value <= limit:
            raise Malformed(f"{key} is not a number from 0 to {limit}")
        return value

    def boolean(self, key: str) -> bool:
        value = self._rest.pop(key, False)
        if type(value) is not bool:
            raise Malformed(f"{key} is not true or false")
        return value

    def object(self, key: str) -> _Table:
        value = self._rest.pop(key, None)
        if not isinstance(value, dict):
            raise Malformed(f"{key} is missing or not an object")
        return _Table(value)


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)
