"""Everything of a grant that sudo or `jit` reads on disk: rule, Defaults of the user, fast-path marker (SPEC 1.5).

Defaults come before the first rule of a user and go after the last (S3, REVIEW 3).
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from jit_enforcer import dropin, parseback, sudoers
from jit_enforcer.accounts import SAFE_NAME
from jit_enforcer.errors import Unsafe
from jit_enforcer.grant import Grant
from jit_enforcer.ledger import Entry
from jit_enforcer.paths import Paths
from jit_enforcer.recording import environment, strictest

_SESSION_ENV: Final = "XDG_SESSION_CLASS=none\n"


class Rules:
    """The files below /run/jit.  `live` is always every live grant of the host, the one in question included."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths

    def put(self, entry: Entry, live: Sequence[Entry]) -> None:
        """Let sudo know the grant.  Raises `Unsafe` or `Unsuitable`; the caller then takes it back."""
        grant = entry.grant
        defaults, meant = _defaults(grant.uid, live)
        rule = sudoers.rule(grant, entry.run_as)
        parseback.check_text(defaults + rule, defaults=[meant], rules=[sudoers.expected_rule(grant, entry.run_as)])
        self._write(self._paths.session_env, _SESSION_ENV, mode=0o444)
        self._write(self._paths.dropins / sudoers.defaults_name(grant.uid), defaults, mode=0o440)
        self._write(self._paths.dropins / grant.grant, rule, mode=0o440)
        self.verify(live)

    def verify(self, live: Sequence[Entry]) -> None:
        """Raise `Unsuitable` unless sudo still reads all rules as they were meant; `Unsafe` if it does not answer."""
        present = [entry for entry in live if not dropin.gone(self._paths.dropins / entry.grant.grant)]
        uids = {entry.grant.uid for entry in live}
        uids = {uid for uid in uids if not dropin.gone(self._paths.dropins / sudoers.defaults_name(uid))}
        parseback.check_whole(
            self._paths,
            defaults=[_defaults(uid, live)[1] for uid in uids],
            rules=[sudoers.expected_rule(entry.grant, entry.run_as) for entry in present],
            run_as_names={entry.grant.run_as_user for entry in live},
            run_as_uids={entry.run_as.uid for entry in live},
        )

    def guard(self, live: Sequence[Entry]) -> bool:
        """True if the Defaults that lead sudo to the gate stand for each person with a grant; cheap."""
        uids = {entry.grant.uid for entry in live}
        return not any(dropin.gone(self._paths.dropins / sudoers.defaults_name(uid)) for uid in uids)

    def is_put(self, entry: Entry, live: Sequence[Entry]) -> bool:
        """True if rule and Defaults stand on disk exactly as `put` writes them."""
        uid = entry.grant.uid
        return (
            _content(self._paths.session_env) == _SESSION_ENV
            and _content(self._paths.dropins / sudoers.defaults_name(uid)) == _defaults(uid, live)[0]
            and _content(self._paths.dropins / entry.grant.grant) == sudoers.rule(entry.grant, entry.run_as)
        )

    def take(self, grant_id: str) -> None:
        """Take the rule away.  Raises `Unsafe` only if it is still there."""
        dropin.remove(self._paths.dropins / grant_id)

    def settle(self, uid: int, user: str, live: Sequence[Entry]) -> None:
        """Bring Defaults and marker of a user to what their live grants need."""
        final = self._paths.dropins / sudoers.defaults_name(uid)
        if any(entry.grant.uid == uid for entry in live):
            text, meant = _defaults(uid, live)
            if _content(final) != text:
                parseback.check_text(text, defaults=[meant], rules=[])
                self._write(final, text, mode=0o440)
        else:
            dropin.remove(final)
        self._mark(uid, user, live)

    def take_foreign(self, live: Sequence[Entry]) -> None:
        """Take away everything that no live grant accounts for.  Raises `Unsafe` if something stays."""
        names = {entry.grant.grant for entry in live} | {sudoers.defaults_name(entry.grant.uid) for entry in live}
        for path in _all_but(names, self._paths.dropins):
            dropin.remove(path)
        for path in _all_but({entry.grant.user for entry in live}, self._paths.markers):
            _unlink(path)

    def sweep(self, *, older_than_s: float, now_s: float) -> None:
        """Unlink what is empty or half-written in our folders."""
        for directory in (self._paths.dropins, self._paths.markers):
            dropin.sweep(directory, older_than_s=older_than_s, now_s=now_s)

    def _write(self, final: Path, text: str, *, mode: int, uid: int | None = None) -> None:
        if _content(final) != text:
            dropin.install(self._paths, final, text, mode=mode, uid=uid)

    def _mark(self, uid: int, user: str, live: Sequence[Entry]) -> None:
        """Only a hint for `jit`, and only under a name that is safe as a file name (REVIEW 8)."""
        if not SAFE_NAME.fullmatch(user):
            return
        marker = self._paths.markers / user
        names = {entry.grant.run_as_user for entry in live if entry.grant.uid == uid and _is_for_anything(entry.grant)}
        if not names:
            _unlink(marker)
            return
        self._write(marker, "".join(f"{name}\n" for name in sorted(names)), mode=0o400, uid=uid)


def _all_but(names: set[str], directory: Path) -> list[Path]:
    try:
        return [path for path in directory.iterdir() if path.name not in names and not path.name.startswith(".")]
    except OSError as e:
        raise Unsafe(f"{directory} cannot be read: {e.strerror}") from e


def _unlink(marker: Path) -> None:
    """Nobody but `jit` reads markers, so they need not be emptied first."""
    with contextlib.suppress(OSError):  # if it stays, `remove` empties it or says so
        marker.unlink()
    dropin.remove(marker)


def _is_for_anything(grant: Grant) -> bool:
    """True if any sudo of the person would pass; of a grant for one command or one session only the gate can tell."""
    return grant.commands == "ALL" and not (grant.run_as_group or grant.once or grant.session)


def _defaults(uid: int, live: Sequence[Entry]) -> tuple[str, dict[str, Any]]:
    """The Defaults that the live grants of a user need, and what sudo must read in them."""
    grants = [entry.grant for entry in live if entry.grant.uid == uid]
    needed = strictest(grants), environment(grants)
    return sudoers.defaults(uid, *needed), sudoers.expected_defaults(uid, *needed)


def _content(path: Path) -> str | None:
    try:
        return path.read_text("utf-8")
    except (OSError, ValueError):
        return None
