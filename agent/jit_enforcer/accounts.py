"""Accounts as this host's NSS knows them.  A grant names a uid and a name; both must still be the same person."""

import grp
import pwd
import re
from dataclasses import dataclass
from typing import Final

from jit_enforcer.errors import Unsafe, WrongUser
from jit_enforcer.grant import Grant

# A name that can be a file name of ours; others get no fast-path marker, and lose nothing but its speed.
SAFE_NAME: Final = re.compile(r"[a-z_][a-z0-9_-]{0,31}")


@dataclass(frozen=True, slots=True)
class RunAs:
    """Numbers, because a number is the one form of a name sudoers cannot misread."""

    uid: int
    gid: int | None


def user_id(name: str) -> int | None:
    """The uid behind what was given to `sudo -u`: a name or `#UID`."""
    if re.fullmatch(r"#[0-9]{1,10}", name):
        return int(name[1:])
    try:
        return pwd.getpwnam(name).pw_uid
    except (KeyError, ValueError):
        return None


def group_id(name: str) -> int | None:
    """The gid behind what was given to `sudo -g`: a name or `#GID`."""
    if re.fullmatch(r"#[0-9]{1,10}", name):
        return int(name[1:])
    try:
        return grp.getgrnam(name).gr_gid
    except (KeyError, ValueError):
        return None


def check(grant: Grant) -> RunAs:
    """Resolve the grant's accounts.  Raises `WrongUser` or `Unsafe`."""
    try:
        names = {entry.pw_name for entry in pwd.getpwall() if entry.pw_uid == grant.uid}
        names |= {pwd.getpwuid(grant.uid).pw_name}
        uid = pwd.getpwnam(grant.user).pw_uid
    except (KeyError, ValueError):
        raise WrongUser(f"{grant.grant}: this host has no account {grant.user!r} with uid {grant.uid}") from None
    if uid != grant.uid or names != {grant.user}:
        raise WrongUser(f"{grant.grant}: {grant.user!r} is not the one name of uid {grant.uid} on this host")
    run_as, group = grant.run_as_user, grant.run_as_group
    target = None if run_as.startswith("#") else user_id(run_as)
    if target is None:
        raise Unsafe(f"{grant.grant}: this host has no account {run_as!r} to run as")
    if target == 0 and run_as != "root":
        raise Unsafe(f"{grant.grant}: {run_as!r} is root by another name here, which nobody approved")
    if not group:
        return RunAs(target, None)
    gid = None if group.startswith("#") else group_id(group)
    if gid is None:
        raise Unsafe(f"{grant.grant}: this host has no group {group!r} to run with")
    return RunAs(target, gid)
