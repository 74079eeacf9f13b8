"""Who is in what, turned around: from a person to groups and roles, so that a decision looks only at their own.

Built when it is first asked for, and again only for other groups or roles.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Protocol


class _Party(Protocol):
    @property
    def people(self) -> frozenset[str]: ...
    @property
    def groups(self) -> frozenset[str]: ...


class _Eligibility(Protocol):
    @property
    def party(self) -> _Party: ...


class _Role(Protocol):
    @property
    def eligible(self) -> tuple[_Eligibility, ...]: ...
    @property
    def approvers(self) -> _Party: ...


class _Ways:
    """The roles that name somebody, by name or by group."""

    def __init__(self) -> None:
        self._people: dict[str, set[str]] = defaultdict(set)
        self._groups: dict[str, set[str]] = defaultdict(set)

    def add(self, role: str, party: _Party) -> None:
        for name in party.people:
            self._people[name].add(role)
        for group in party.groups:
            self._groups[group].add(role)

    def roles(self, name: str, groups: Iterable[str]) -> frozenset[str]:
        none: set[str] = set()
        return frozenset().union(self._people.get(name, none), *(self._groups.get(group, none) for group in groups))


class Index:
    """Of one policy's groups and roles."""

    def __init__(self, groups: Mapping[str, frozenset[str]], roles: Mapping[str, _Role]) -> None:
        self.of = (groups, roles)
        member: dict[str, list[str]] = defaultdict(list)
        for group in sorted(groups):
            for name in groups[group]:
                member[name].append(group)
        self._member = {name: tuple(found) for name, found in member.items()}
        self._eligible, self._approves = _Ways(), _Ways()
        for name, role in roles.items():
            for eligibility in role.eligible:
                self._eligible.add(name, eligibility.party)
            self._approves.add(name, role.approvers)

    def groups(self, name: str) -> tuple[str, ...]:
        """The groups of the person of that name, through others too, in order."""
        return self._member.get(name, ())

    def eligible(self, name: str) -> frozenset[str]:
        """The roles the person was, is or will be eligible for."""
        return self._eligible.roles(name, self.groups(name))

    def approves(self, name: str) -> frozenset[str]:
        """The roles the person is an approver of."""
        return self._approves.roles(name, self.groups(name))


class IndexMemo:
    """Keeps the index of the groups and roles it was last asked for."""

    __slots__ = ("_index",)

    def __init__(self) -> None:
        self._index: Index | None = None

    def index(self, groups: Mapping[str, frozenset[str]], roles: Mapping[str, _Role]) -> Index:
        index = self._index
        if index is None or index.of[0] is not groups or index.of[1] is not roles:
            index = self._index = Index(groups, roles)
        return index
