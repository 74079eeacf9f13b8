"""Grants as this host holds them and ends them (SPEC 3.2, 3.3), from untrusted JSON to frozen values.

Text in these values is still the text of other people: `terminal` makes it safe
when it is shown (S12).
"""

from __future__ import annotations

from dataclasses import dataclass
from shlex import join

from jit_cli.fields import Fields


@dataclass(frozen=True, slots=True)
class Live:
    """A grant in force on this host, as the enforcer holds it."""

    grant: str
    role: str
    run_as_user: str
    run_as_group: str
    commands: tuple[str, ...]
    shell: bool
    not_after: int
    # What was promised; a lease has an earlier `not_after`.
    until: int
    once: bool
    used: bool
    # The login session it is for; 0: any of mine.
    session: int
    processes: int

    @classmethod
    def read(cls, fields: Fields) -> Live:
        return cls(
            grant=fields.text("grant"),
            role=fields.text("role"),
            run_as_user=fields.text("run_as_user"),
            run_as_group=fields.text("run_as_group"),
            commands=_commands(fields),
            shell=fields.flag("shell"),
            not_after=fields.number("not_after"),
            until=fields.number("until"),
            once=fields.flag("once"),
            used=fields.flag("used"),
            session=fields.number("session"),
            processes=fields.number("processes"),
        )


def _commands(fields: Fields) -> tuple[str, ...]:
    """`"ALL"`, or SPEC 2.3's list, as the lines a person would type."""
    if fields.is_text("commands"):
        return (fields.text("commands"),)
    return tuple(_command(one) for one in fields.objects("commands"))


def _command(fields: Fields) -> str:
    path, digest = fields.text("path"), fields.text("sha256")
    if fields.is_null("args"):  # any arguments
        line = f"{path} …"
    elif fields.is_object("args"):
        line = f"{path} {fields.object('args').text('regex')}"
    else:
        line = join([path, *fields.texts("args")])
    return f"sha256:{digest} {line}" if digest else line


@dataclass(frozen=True, slots=True)
class Leftover:
    """A process that had left the scope of its grant."""

    pid: int
    command: str
    killed: bool


@dataclass(frozen=True, slots=True)
class Proof:
    """The enforcer's proof that nothing of a grant is left, and what it found outside (SPEC 3.3)."""

    grant: str
    reason: str
    killed: int
    scope_empty: bool
    rule_removed: bool
    leftovers: tuple[Leftover, ...]

    @classmethod
    def read(cls, fields: Fields) -> Proof:
        return cls(
            grant=fields.text("grant"),
            reason=fields.text("reason"),
            killed=fields.number("killed"),
            scope_empty=fields.flag("scope_empty"),
            rule_removed=fields.flag("rule_removed"),
            leftovers=tuple(
                Leftover(one.number("pid"), one.text("command"), one.flag("killed"))
                for one in fields.objects("leftovers")
            ),
        )
