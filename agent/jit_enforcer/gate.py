"""Which live grant, if any, a waiting sudo belongs to (REVIEW 4, 9).  Pure but for the host's names and files.

sudo itself still decides by its rules whether the command may run; the gate decides whether it may start, and where.
"""

import os
import posixpath
from collections.abc import Sequence
from pathlib import Path

from jit_enforcer import accounts
from jit_enforcer.errors import NotAdmitted
from jit_enforcer.grant import RECORDINGS, Grant
from jit_enforcer.permitted import Command
from jit_enforcer.sudoargs import Ask


def choose(ask: Ask, grants: Sequence[Grant], *, process: Path) -> Grant | None:
    """The grant that covers the ask: of several, the latest end among those with the strictest recording.

    A single-use grant is not spent on what another of them lets through.
    `process` is the folder of the sudo process under /proc.  None: no grant covers it.
    """
    if not (ask.argv or ask.shell or ask.login):
        raise NotAdmitted("sudo without a command")
    covering = [grant for grant in grants if _covers(grant, ask, process)]
    # What the file holds only sudo sees: it may not have gone by a rule that is held to a digest.
    plain = [grant for grant in covering if "" in _digests(grant, ask)]
    return max(plain or covering, key=_rank, default=None)


def is_doubtful(chosen: Grant, ask: Ask, grants: Sequence[Grant]) -> bool:
    """True if sudo may have gone by another of the grants: one that takes the same words with other content."""
    held = _digests(chosen, ask)
    return "" not in held and any(could_match(ask, grant) and _digests(grant, ask) - held for grant in grants)


def _digests(grant: Grant, ask: Ask) -> set[str]:
    """By which the grant lets this command through; an empty text: whatever the file holds."""
    if grant.commands == "ALL" or not ask.argv:
        return {""}
    asked = posixpath.basename(ask.argv[0])
    named = (command for command in grant.commands if posixpath.basename(command.path) == asked)
    return {command.sha256 for command in named if command.takes(ask.argv[1:])}


def _rank(grant: Grant) -> tuple[int, bool, int]:
    return RECORDINGS.index(grant.record), not grant.once, grant.until


def could_match(ask: Ask, grant: Grant) -> bool:
    """False only if it is certain that sudo did not go by the rule of this grant: it reads rules wider than we do.

    A rule without a group takes -g with a group the run-as account is in, and one of a shell takes -s.
    """
    if _wanted(grant, ask) != accounts.user_id(grant.run_as_user):
        return False
    if grant.commands == "ALL" or ask.shell or ask.login:
        return True
    asked = posixpath.basename(ask.argv[0])
    return any(posixpath.basename(command.path) == asked for command in grant.commands)


def _covers(grant: Grant, ask: Ask, process: Path) -> bool:
    if not _same_target(grant, ask):
        return False
    if grant.commands == "ALL":
        return grant.shell or not (ask.shell or ask.login)
    if ask.shell or ask.login:
        return False
    return any(
        command.takes(ask.argv[1:]) and _same_program(command, ask.argv[0], process) for command in grant.commands
    )


def _same_target(grant: Grant, ask: Ask) -> bool:
    target = accounts.user_id(grant.run_as_user)
    if target is None or _wanted(grant, ask) != target:
        return False
    if ask.group is None or not grant.run_as_group:
        return ask.group is None and not grant.run_as_group
    gid = accounts.group_id(grant.run_as_group)
    return gid is not None and accounts.group_id(ask.group) == gid


def _wanted(grant: Grant, ask: Ask) -> int | None:
    """The uid asked for.  sudo -g alone runs as the person who calls it."""
    if ask.user is None:
        return 0 if ask.group is None else grant.uid
    return accounts.user_id(ask.user)


def _same_program(command: Command, asked: str, process: Path) -> bool:
    """A bare name is looked up by sudo in its own secure_path, so here only the name can be compared."""
    if posixpath.basename(asked) != posixpath.basename(command.path):
        return False
    if "/" not in asked or asked == command.path:
        return True
    try:
        given = process / "root" / asked.lstrip("/") if asked.startswith("/") else process / "cwd" / asked
        return os.path.samestat(os.stat(given), os.stat(process / "root" / command.path[1:]))
    except (OSError, ValueError):
        return False
