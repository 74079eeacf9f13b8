"""Requests for several hosts that were made as one (SPEC 9.7).

The hosts are fixed when the request is made: what is enrolled later, or gets a label later, is never part of it.  A
decision on one is a decision on all; grants are each on their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jit_server.domain.policy.model import Role
from jit_server.errors import Invalid


@dataclass(frozen=True, slots=True)
class Batch:
    """`asked_on` is the id of the host it was asked on, which may be none of its hosts; µs UTC.

    `left_out` says, by name of a host, why there is no grant on it: it was left out, or turned out not to fit.
    """

    batch_id: str
    user_id: str
    asked_on: str
    created_at: int
    wanted: tuple[str, ...]
    """The hosts as they were asked for, in the person's words."""
    left_out: Mapping[str, str]


def require_few(role: Role, count: int) -> None:
    """Raise `Invalid` for no host, or more than one request for the role may name."""
    if not count:
        raise Invalid("no host is selected", hint="see: jitctl hosts ls")
    if count > role.max_hosts:
        hosts = "1 host" if role.max_hosts == 1 else f"{role.max_hosts} hosts"
        raise Invalid(
            f"{count} hosts are selected, and a request for role {role.name} may name {hosts} at most",
            hint="name fewer hosts, or ask for each",
        )
