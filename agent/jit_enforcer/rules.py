"""Everything of a grant that sudo or `jit` reads on disk: rule, Defaults of the user, fast-path marker (SPEC 1.5).

Defaults come before the first rule of a user and go after the last (S3, REVIEW 3).
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from jit_enforcer import dropin, parseback, sudoers
from jit_enforcer.accounts import SAFE_NAME
from jit_enforcer.errors import Unsafe
from jit_enforcer.grant import Grant
from jit_enforcer.ledger import Entry
from jit_enforcer.paths import Paths

_SESSION_ENV = "XDG_SESSION_CLASS=none\n"


class Rules:
    """The files below /run/jit.  `live` is always every live grant of the host, the one in question included."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths

    def put(self, entry: Entry, live: Sequence[Entry]) -> None:
        """Let sudo know the grant.  Raises `Unsafe` or `Unsuitable`; the caller then takes it back."""
        grant = entry.grant
        if _content(self._paths.session_env) != _SESSION_ENV:
            dropin.install(self._paths, self._paths.session_env, _SESSION_ENV, mode=0o444, check=_unchecked)
        self._put_defaults(grant.uid, live)
        meant = [sudoers.expected_rule(grant, entry.run_as)]
        dropin.install(
            self._paths,
            self._paths.dropins / grant.grant,
            sudoers.rule(grant, entry.run_as),
            mode=0o440,
            check=lambda draft: parseback.check_file(draft, defaults=[], rules=meant),
        )
        self.verify(live)

    def verify(self, live: Sequence[Entry]) -> None:
        """Raise `Unsuitable` unless sudo still reads all rules as they were meant; `Unsafe` if it does not answer."""
        present = [entry for entry in live if not dropin.gone(self._paths.dropins / entry.grant.grant)]
        uids = {entry.grant.uid for entry in live}
        uids = {uid for uid in uids if not dropin.gone(self._paths.dropins / sudoers.defaults_name(uid))}
        parseback.check_whole(
            self._paths,
            defaults=[sudoers.expected_defaults(uid, record_input=_records_input(uid, live)) for uid in uids],
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
        defaults = sudoers.defaults(uid, record_input=_records_input(uid, live))
        return (
            _content(self._paths.session_env) == _SESSION_ENV
            and _content(self._paths.dropins / sudoers.defaults_name(uid)) == defaults
            and _content(self._paths.dropins / entry.grant.grant) == sudoers.rule(entry.grant, entry.run_as)
        )

    def take(self, grant_id: str) -> None:
        """Take the rule away.  Raises `Unsafe` only if it is still there."""
        dropin.remove(self._paths.dropins / grant_id)

    def settle(self, uid: int, user: str, live: Sequence[Entry]) -> None:
        """Bring Defaults and marker of a user to what their live grants need."""
        if any(entry.grant.uid == uid for entry in live):
            self._put_defaults(uid, live)
        else:
            dropin.remove(self._paths.dropins / sudoers.defaults_name(uid))
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

    def _put_defaults(self, uid: int, live: Sequence[Entry]) -> None:
        record_input = _records_input(uid, live)
        final, text = self._paths.dropins / sudoers.defaults_name(uid), sudoers.defaults(uid, record_input=record_input)
        if _content(final) == text:
            return
        meant = [sudoers.expected_defaults(uid, record_input=record_input)]

        def check(draft: Path) -> None:
            parseback.check_file(draft, defaults=meant, rules=[])

        dropin.install(self._paths, final, text, mode=0o440, check=check)

    def _mark(self, uid: int, user: str, live: Sequence[Entry]) -> None:
        """Only a hint for `jit`, and only under a name that is safe as a file name (REVIEW 8)."""
        if not SAFE_NAME.fullmatch(user):
            return
        marker = self._paths.markers / user
        names = {entry.grant.run_as_user for entry in live if entry.grant.uid == uid and _is_for_anything(entry.grant)}
        if not names:
            _unlink(marker)
            return
        text = "".join(f"{name}\n" for name in sorted(names))
        if _content(marker) != text:
            dropin.install(self._paths, marker, text, mode=0o400, uid=uid, check=_unchecked)


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


def _records_input(uid: int, live: Sequence[Entry]) -> bool:
    return any(entry.grant.uid == uid and entry.grant.record == "input" for entry in live)


def _content(path: Path) -> str | None:
    try:
        return path.read_text("utf-8")
    except (OSError, ValueError):
        return None


def _unchecked(_: Path) -> None:
    """Nothing that sudo reads as sudoers."""
