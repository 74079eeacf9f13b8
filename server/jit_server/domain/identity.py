"""People and hosts.

S8 stands on this: a person has one immutable id, and every name or account names one person only, whatever the case
of its letters.  A host is known by its id; its name and labels were fixed by the token it enrolled with.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from jit_server.errors import Invalid

MAX_CLOCK_SKEW_US = 300 * 1_000_000
"""Beyond this difference (SPEC 5.1) a host gets no new grants."""

_USER_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@-]{0,63}")
_HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Duty(StrEnum):
    """What a person may do beyond asking and approving."""

    ADMIN = "admin"
    AUDITOR = "auditor"


@dataclass(frozen=True, slots=True)
class Person:
    """A caller whose certificate the edge has verified."""

    user_id: str


@dataclass(frozen=True, slots=True)
class HostCaller:
    """A calling host whose certificate the edge has verified."""

    host_id: str


@dataclass(frozen=True, slots=True)
class LocalUser:
    """A person as the kernel and NSS of a host know them; the host attests it."""

    uid: int
    name: str


@dataclass(frozen=True, slots=True)
class User:
    user_id: str
    name: str
    account: str
    duties: frozenset[Duty]
    created_at: int
    disabled: bool = False
    mfa_enrolled: bool = False
    service: bool = False
    """An account of a program: it never logs in, approves or has a second factor, and has only active roles."""


@dataclass(frozen=True, slots=True)
class Host:
    """A host as the server last heard of it; times in µs UTC, zero for never."""

    host_id: str
    name: str
    labels: Mapping[str, str]
    enrolled_at: int
    removed: bool = False
    connected: bool = False
    last_seen: int = 0
    boot_id: str = ""
    agent_version: str = ""
    sudo_version: str = ""
    reported_problems: tuple[str, ...] = ()
    clock_skew_us: int = 0
    generation: int = 0

    @property
    def clock_is_off(self) -> bool:
        return abs(self.clock_skew_us) > MAX_CLOCK_SKEW_US

    @property
    def problems(self) -> tuple[str, ...]:
        """What stands against new grants on this host, its clock included."""
        if not self.clock_is_off:
            return self.reported_problems
        return (
            *self.reported_problems,
            f"its clock differs from the server's by {abs(self.clock_skew_us) // 1_000_000} s",
        )


def alias(name: str) -> str:
    """What two names must not share if they name two people."""
    return name.casefold()


def check_user_name(untrusted_name: str, what: str = "name") -> str:
    """Return the name; raise `Invalid` unless it is 1–64 plain characters, which no terminal or file can misread."""
    if not _USER_NAME.fullmatch(untrusted_name):
        raise Invalid(
            f"{untrusted_name[:80]!a} cannot be a person's {what}",
            hint="use 1 to 64 letters, digits and . _ @ -, and begin with a letter, a digit or _",
        )
    return untrusted_name


def check_host_name(untrusted_name: str) -> str:
    """Return the name; raise `Invalid` unless it is a host name in lower case of at most 253 characters."""
    if len(untrusted_name) > 253 or not _HOST_NAME.fullmatch(untrusted_name):
        raise Invalid(f"{untrusted_name[:80]!a} is not a host name", hint="use lower-case letters, digits, - and .")
    return untrusted_name


def check_labels(untrusted_labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels; raise `Invalid` for more than 64 or for one that is not 1–63 plain characters."""
    if len(untrusted_labels) > 64:
        raise Invalid(f"{len(untrusted_labels)} labels; the limit is 64")
    for key, value in untrusted_labels.items():
        for part in (key, value):
            if not _LABEL.fullmatch(part):
                raise Invalid(
                    f"label {key[:80]!a}={value[:80]!a} is not allowed",
                    hint="use 1 to 63 letters, digits and . _ / - on both sides",
                )
    return dict(untrusted_labels)


def check_boot_id(untrusted_text: str) -> str:
    """Return the boot id; raise `Invalid` unless it is a UUID in lower case."""
    if not _UUID.fullmatch(untrusted_text):
        raise Invalid("the boot id is not a UUID")
    return untrusted_text


def check_local_user(untrusted_user: LocalUser) -> LocalUser:
    """Return the user; raise `Invalid` unless uid and name can be those of an ordinary account (SPEC 2.2)."""
    if not 1 <= untrusted_user.uid < 2**32 - 1:
        raise Invalid(f"uid {untrusted_user.uid} cannot ask", hint="jit is for ordinary accounts, not for root")
    if not 1 <= len(untrusted_user.name) <= 256:
        raise Invalid("the account name is empty or longer than 256 characters")
    return untrusted_user
