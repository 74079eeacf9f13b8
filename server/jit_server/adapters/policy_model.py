"""The shape of a policy file: which keys there are, and what each may hold.

Shapes only; what one part says about another is checked in `policy_yaml`.  Values are never coerced: `yes` is not true,
and 5 is not "5".
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from jit_server.domain.ask import ALL, MAX_COMMANDS, Command, Commands, command_problem
from jit_server.domain.grant import DEFAULT_RETAIN_S, Record
from jit_server.domain.identity import check_labels, check_user_name
from jit_server.domain.policy import Extend, Party, Role, Selector
from jit_server.errors import Invalid

DAY_S = 86_400
MIN_LEASE_S = 10
MAX_LEASE_S = 3_600
MIN_WATCH_S = 10
REQUIRED, BEST_EFFORT = "required", "best-effort"
_UNITS = {"d": DAY_S, "h": 3_600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?=.)(?:([0-9]{1,5})d)?(?:([0-9]{1,5})h)?(?:([0-9]{1,5})m)?(?:([0-9]{1,6})s)?", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
_ACCOUNT = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,254}\$?", re.ASCII)


def _plainly(check: Callable[[str], object]) -> Callable[[str], str]:
    """A validator out of a check of the domain, whose errors are of another family."""

    def validator(text: str) -> str:
        try:
            check(text)
        except Invalid as error:
            raise ValueError(f"{error}; {error.hint}" if error.hint else str(error)) from None
        return text

    return validator


def name_of_thing(text: str) -> str:
    """A name of a role or group; raises ValueError."""
    if not _NAME.fullmatch(text):
        raise ValueError(
            f"{text[:80]!a} cannot be a name: use letters, digits and . _ -, and begin with one of the first two"
        )
    return text


def _account(text: str) -> str:
    # No `#uid`, no `ALL`, no alias: a host must find exactly one account by this name.
    if not _ACCOUNT.fullmatch(text) or text == ALL:
        raise ValueError(f"{text[:80]!a} is not the name of an account")
    return text


def _duration(text: object) -> int:
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    seconds = sum(int(n) * unit for n, unit in zip(match.groups(), _UNITS.values(), strict=True) if n) if match else 0
    if seconds < 1:
        raise ValueError(f"{str(text)[:40]!a} is not a duration: write 30m, 2h or 1h30m")
    return seconds


def _line(text: str) -> str:
    if len(text) > 200 or not text.isprintable():
        raise ValueError("must be one line of at most 200 printable characters")
    return text


def _hosts(value: object) -> object:
    match value:
        case "all":
            return {"all_hosts": True}
        case dict():
            return {"labels": value}
        case _:
            raise ValueError("must be `all`, or labels such as {tier: web}")


def _command(value: object) -> object:
    match value:
        case str():
            try:
                words = shlex.split(value)
            except ValueError as error:
                raise ValueError(f"cannot be split into words: {str(error).lower()}") from None
            if not words:
                raise ValueError("must not be empty")
            return {"path": words[0], "args": words[1:]}
        case {"path": _, "args": list()}:
            return value
        case {"path": path, "args": "any", **rest}:
            return {"path": path, "args": None, **rest}
        case dict() if "path" in value:
            raise ValueError("args: write `args: any`, or the list of arguments")
        case _:
            raise ValueError("must be a command line, or a mapping with path and args")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class CommandModel(_Strict):
    path: str
    args: list[str] | None

    def as_command(self) -> Command:
        """The command; raises ValueError when no host could render it without doubt (SPEC 2.3)."""
        command = Command(self.path, None if self.args is None else tuple(self.args))
        if (problem := command_problem(command)) is not None:
            raise ValueError(problem)
        return command


def _renderable(model: CommandModel) -> CommandModel:
    model.as_command()
    return model


def _commands(value: object) -> object:
    if value == ALL:
        return {"all": True}
    if isinstance(value, list) and value:
        return {"items": value}
    raise ValueError("must be ALL, or a list of commands")


class CommandsModel(_Strict):
    all: bool = False
    items: Annotated[
        list[Annotated[CommandModel, BeforeValidator(_command), AfterValidator(_renderable)]],
        Field(default_factory=list, max_length=MAX_COMMANDS),
    ]

    def as_commands(self) -> Commands:
        return ALL if self.all else tuple(model.as_command() for model in self.items)


class HostsModel(_Strict):
    all_hosts: bool = False
    labels: Annotated[dict[str, str], Field(default_factory=dict)]


class PartyModel(_Strict):
    people: Annotated[list[Annotated[str, AfterValidator(_plainly(check_user_name))]], Field(default_factory=list)]
    groups: Annotated[list[str], Field(default_factory=list)]

    def as_party(self) -> Party:
        return Party(frozenset(self.people), frozenset(self.groups))


class DurationModel(_Strict):
    default: Annotated[int, BeforeValidator(_duration)]
    max: Annotated[int, BeforeValidator(_duration)]


def _checked_hosts(model: HostsModel) -> HostsModel:
    _plainly(lambda _: check_labels(model.labels))("")
    return model


def _recorded(text: str) -> str:
    if text not in list(Record):
        raise ValueError(f"{text[:40]!a} is unknown: write none, events, output or input")
    return text


def _recording(text: str) -> str:
    if text not in {REQUIRED, BEST_EFFORT}:
        raise ValueError(f"{text[:40]!a} is unknown: write required or best-effort")
    return text


def _watch(value: object) -> int:
    """Seconds; raises ValueError."""
    seconds = _duration(value)
    if not MIN_WATCH_S <= seconds <= DAY_S:
        raise ValueError("must be between 10s and 24h: so long a session lives on that nobody watches")
    return seconds


def _extend(text: str) -> str:
    if text not in list(Extend):
        raise ValueError(f"{text[:40]!a} is unknown: write self, approval or never")
    return text


def _lease(value: object) -> int:
    """Seconds, zero for none; raises ValueError."""
    match value:
        case "until-expiry":
            return 0
        case {"lease": text, **rest} if not rest:
            seconds = _duration(text)
        case _:
            raise ValueError("must be `until-expiry`, or a lease such as {lease: 2m}")
    if not MIN_LEASE_S <= seconds <= MAX_LEASE_S:
        raise ValueError("lease: must be between 10s and 1h")
    return seconds


class RoleModel(_Strict):
    description: Annotated[str, AfterValidator(_line)] = ""
    hosts: Annotated[HostsModel, BeforeValidator(_hosts), AfterValidator(_checked_hosts)]
    run_as: list[Annotated[str, AfterValidator(_account)]] = Field(default=["root"], min_length=1)
    run_as_groups: list[Annotated[str, AfterValidator(_account)]] = []
    commands: Annotated[CommandsModel, BeforeValidator(_commands)]
    eligible: PartyModel
    approvers: PartyModel = PartyModel(people=[], groups=[])
    approvals: int = Field(default=1, ge=0, le=100)
    duration: DurationModel
    request_timeout: Annotated[int, BeforeValidator(_duration)] = DAY_S
    mfa: bool = True
    reason: bool = True
    ticket: bool = False
    shell: bool = False
    record: Annotated[str, AfterValidator(_recorded)] = Record.OUTPUT.value
    recording: Annotated[str, AfterValidator(_recording)] = REQUIRED
    subcommands: bool = False
    watch: Annotated[int, BeforeValidator(_watch)] = 0
    retain: Annotated[int, BeforeValidator(_duration)] = DEFAULT_RETAIN_S
    extend: Annotated[str, AfterValidator(_extend)] = Extend.SELF.value
    offline: Annotated[int, BeforeValidator(_lease)] = 0

    def as_role(self, name: str) -> Role:
        return Role(
            name=name,
            description=self.description,
            hosts=Selector(self.hosts.labels, self.hosts.all_hosts),
            run_as_users=tuple(self.run_as),
            run_as_groups=tuple(self.run_as_groups),
            commands=self.commands.as_commands(),
            shell=self.shell,
            eligible=self.eligible.as_party(),
            approvers=self.approvers.as_party(),
            approvals=self.approvals,
            default_s=self.duration.default,
            max_s=self.duration.max,
            request_timeout_s=self.request_timeout,
            mfa=self.mfa,
            reason=self.reason,
            ticket=self.ticket,
            record=Record(self.record),
            extend=Extend(self.extend),
            lease_s=self.offline,
            required=self.recording == REQUIRED,
            subcommands=self.subcommands,
            watch_s=self.watch,
            retain_s=self.retain,
        )


Members = list[Annotated[str, AfterValidator(_plainly(check_user_name))]]
