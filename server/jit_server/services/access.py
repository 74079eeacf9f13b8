"""Who a caller is, and what they may see and do.

People see their own requests; approvers those of the roles they may decide on; administrators and auditors everything.
What a caller may not see does not exist for them: `NotFound`, never `Denied`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from jit_server.domain.identity import Duty, Host, HostCaller, LocalUser, Person, User, check_local_user
from jit_server.domain.ids import Kind, id_prefix
from jit_server.domain.policy.model import Policy
from jit_server.errors import Denied, Invalid, NotFound, Unauthenticated
from jit_server.store import Transaction
from jit_server.store_values import Scope

T = TypeVar("T")


async def person(tx: Transaction, caller: Person) -> User:
    """Return the calling person; raise `Unauthenticated` if unknown, disabled or a service, which never logs in."""
    user = await tx.people.get(caller.user_id)
    if user is None or user.disabled or user.service:
        raise Unauthenticated("this login no longer counts", hint="ask an administrator")
    return user


async def host(tx: Transaction, caller: HostCaller) -> Host:
    """Return the calling host; raise `Unauthenticated` if unknown or removed."""
    found = await tx.hosts.get(caller.host_id)
    if found is None or found.removed:
        raise Unauthenticated("this host is not enrolled", hint="enrol it again with a new token: jit-agent enroll")
    return found


async def local_person(tx: Transaction, untrusted_user: LocalUser) -> User:
    """Return whom an account of a host belongs to; raise `Denied` if to nobody, or to a disabled person."""
    local = check_local_user(untrusted_user)
    user = await tx.people.by_account(local.name)
    if user is None:
        raise Denied(
            f"the server does not know the account {local.name[:80]!a}",
            hint="an administrator can add it: jitctl users add",
        )
    if user.disabled:
        raise Denied(f"{user.name} is disabled", hint="an administrator can enable the account: jitctl users enable")
    return user


def require_admin(user: User) -> None:
    if Duty.ADMIN not in user.duties:
        raise Denied("only an administrator may do this")


def require_reader(user: User) -> None:
    """Administrators change, auditors read."""
    if user.duties.isdisjoint({Duty.ADMIN, Duty.AUDITOR}):
        raise Denied("only an administrator or an auditor may read this")


def scope_of(user: User, policy: Policy) -> Scope:
    return Scope(
        user_id=user.user_id,
        roles=policy.approver_of(user),
        everything=not user.duties.isdisjoint({Duty.ADMIN, Duty.AUDITOR}),
    )


_WHERE_LISTED = {"person": "see: jitctl users ls", "host": "see: jitctl hosts ls"}


def only(found: Sequence[T], what: str, untrusted_text: str) -> T:
    """Return the one thing a prefix names; raise `NotFound` for none and `Invalid` for several."""
    shown = f"{untrusted_text[:64]!a}"
    if not found:
        raise NotFound(f"no {what} {shown}", hint=_WHERE_LISTED.get(what, ""))
    if len(found) > 1:
        raise Invalid(f"{shown} names several {what}s", hint="type more of the id")
    return found[0]


async def find_user(tx: Transaction, untrusted_text: str) -> User:
    """Return the person of that name, id or unique beginning of an id."""
    named = await tx.people.by_name(untrusted_text)
    if named is not None:
        return named
    prefix = _prefix_or_nothing(Kind.USER, untrusted_text)
    return only(await tx.people.find(prefix) if prefix else (), "person", untrusted_text)


async def find_host(tx: Transaction, untrusted_text: str) -> Host:
    """Return the host of that name, id or unique beginning of an id."""
    named = await tx.hosts.by_name(untrusted_text)
    if named is not None:
        return named
    prefix = _prefix_or_nothing(Kind.HOST, untrusted_text)
    return only(await tx.hosts.find(prefix) if prefix else (), "host", untrusted_text)


def _prefix_or_nothing(kind: Kind, untrusted_text: str) -> str:
    """A name that could not be an id is simply not found."""
    try:
        return id_prefix(kind, untrusted_text)
    except Invalid:
        return ""
