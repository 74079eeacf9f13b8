"""The quick part of a look: all places but the walk for setuid files (SPEC 3.6).

A home belongs to whoever lives there, so each has a bound of its own: what one person piles up hides nothing of
another.
"""

import posixpath
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from jit_footprint import configured, places, transient
from jit_footprint.configured import Account
from jit_footprint.places import Place
from jit_footprint.snapshot import Cut, Entry, Kind
from jit_footprint.tree import Found, Tree

_NAMES: Final = 20_000
"""Names of a folder that are gone through; the rest is not seen."""
_ENTRIES: Final = 10_000
_ENTRIES_AT_HOME: Final = 500
_ACCOUNTS: Final = 20_000
_FILES_OF_CONFIGURATION: Final = 200


class Gathering:
    """Fills `entries`, by canonical path; `cut` tells of what there was more than is looked at."""

    def __init__(self, tree: Tree) -> None:
        self.entries: dict[str, Entry] = {}
        self.cut: set[Cut] = set()
        self._tree = tree
        self._listed: set[str] = set()
        self._left = 0

    def gather(self) -> None:
        """Look at everything the list and the host's configuration name.  Raises nothing for what it finds there."""
        self._look_at_all(places.HOST, bound=None)
        self._follow_sudoers()
        patterns = self._follow_sshd()
        known = list(configured.accounts(self._text("/etc/passwd")))
        if len(known) > _ACCOUNTS:
            self.cut.add(("keys", ""))
        homes: set[str] = set()
        for account in known[:_ACCOUNTS]:
            self._look_at_all(_keys(account, patterns), bound=_ENTRIES_AT_HOME)
            if account.uid == 0:
                self._look_at_all(_inside(account.home, places.STARTUP_AT_HOME), bound=None)
            if account.home not in homes:
                homes.add(account.home)
                self._look_at_all(_inside(account.home, places.KEYS_AT_HOME), bound=_ENTRIES_AT_HOME)
                self._look_at_all(_inside(account.home, places.UNITS_AT_HOME), bound=_ENTRIES_AT_HOME)

    def _look_at_all(self, wanted: Iterable[Place], *, bound: int | None) -> None:
        """`bound` is for all of them together; None: each has its own, that of the host's places."""
        self._left = bound or _ENTRIES
        for place in wanted:
            if bound is None:
                self._left = _ENTRIES
            self._look_at(place)

    def _look_at(self, place: Place) -> None:
        found = self._tree.locate(place.path, lambda link: self._add(place.kind, link))
        if found is None:
            return
        with found:
            self._add(place.kind, found, dated=place.names is None)
            if found.is_folder and place.depth:
                self._list(place, found, place.depth)

    def _list(self, place: Place, folder: Found, depth: int) -> None:
        if folder.path in self._listed:
            return
        if place.names is None:
            self._listed.add(folder.path)
        try:
            names = self._tree.names(folder, _NAMES + 1)
        except OSError:
            self.cut.add((place.kind, folder.path))
            return
        if len(names) > _NAMES:
            self.cut.add((place.kind, folder.path))
        for name in names:
            if place.names is None or place.names.fullmatch(name):
                child = self._tree.child(folder, name)
                if child is not None:
                    with child:
                        self._add_child(place, child, depth)

    def _add_child(self, place: Place, child: Found, depth: int) -> None:
        if self._left <= 0:
            self.cut.add((place.kind, posixpath.dirname(child.path)))
            return
        self._left -= 1
        self._add(place.kind, child)
        if child.is_folder and depth > 1:
            self._list(place, child, depth - 1)
        elif child.is_link:
            # What a link leads to counts as well, if it is a plain file; folders only where the list names them.
            target = self._tree.locate(child.path, lambda link: self._add(place.kind, link))
            if target is not None:
                with target:
                    if target.is_file:
                        self._add(place.kind, target)

    def _add(self, kind: Kind, found: Found, *, dated: bool = True) -> None:
        if found.path in self.entries or transient.is_no_leftover(self._tree, found):
            return
        entry = self._tree.describe(kind, found)
        # Where only some names count, the folder's own time says nothing.
        self.entries[found.path] = entry if dated else replace(entry, ctime=0)

    def _text(self, path: str) -> str:
        found = self._tree.locate(path, lambda _: None)
        if found is None:
            return ""
        with found:
            return (self._tree.read(found) or b"").decode("utf-8", "surrogateescape")

    def _follow_sudoers(self) -> None:
        unread = [path for path in self.entries if path.startswith("/etc/sudoers")]
        for path in _bounded(unread):
            before = len(self.entries)
            self._look_at_all(configured.sudo_includes(self._text(path)), bound=_ENTRIES)
            unread += list(self.entries)[before:]

    def _follow_sshd(self) -> list[str]:
        """Patterns of authorized keys, from every file that sshd's configuration may consist of."""
        patterns = list[str]()
        unread = [path for path in self.entries if path.startswith("/etc/ssh/sshd_config")]
        for path in _bounded(unread):
            said = configured.sshd(self._text(path))
            patterns += said.patterns
            before = len(self.entries)
            self._look_at_all(said.includes, bound=_ENTRIES)
            unread += list(self.entries)[before:]
            self._look_at_all(said.files, bound=_ENTRIES)
        return patterns


def _inside(home: str, wanted: Iterable[Place]) -> list[Place]:
    return [replace(place, path=f"{home}/{place.path}") for place in wanted]


def _keys(account: Account, patterns: Iterable[str]) -> list[Place]:
    files = (configured.expand(pattern, account) for pattern in patterns)
    return [Place("keys", file) for file in files if file is not None]


def _bounded(unread: list[str]) -> Iterable[str]:
    """Each once, also those that are added meanwhile, up to a bound."""
    for number, path in enumerate(unread):
        if number >= _FILES_OF_CONFIGURATION:
            return
        yield path
