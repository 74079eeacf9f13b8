"""Who is in which group, through groups within it too; one that contains itself is an error that names the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jit_server.adapters.policy_yaml.contents import Entry
from jit_server.adapters.policy_yaml.people import PartyShape
from jit_server.adapters.policy_yaml.report import Report

MAX_MEMBERSHIPS = 1_000_000
_SHOWN = 8


class Membership:
    """The members of all groups; those of a group with an error may be fewer than they should be."""

    def __init__(self, groups: Mapping[str, Entry[list[str] | PartyShape]], report: Report) -> None:
        self._groups, self._report = groups, report
        self._way: dict[str, int] = {}
        self._count = 0
        self.members: dict[str, frozenset[str]] = {}
        for name in groups:
            self._walk(name)
            if self._count > MAX_MEMBERSHIPS:
                message = f"the groups have more than {MAX_MEMBERSHIPS} members, each counted in each of its groups"
                report.error(groups[name].place, message, key=True)
                return

    def __contains__(self, group: object) -> bool:
        return group in self._groups

    def of(self, party: PartyShape) -> frozenset[str]:
        """Everybody in the party, by name and by group."""
        known = [self.members[group] for group in party.groups if group in self.members]
        return known[0] if len(known) == 1 and not party.people else frozenset(party.people).union(*known)

    def few_of(self, party: PartyShape, most: int) -> frozenset[str] | None:
        """Everybody in the party, or None if they are more than `most`: cheap, however large the groups are."""
        found = set(party.people)
        for group in party.groups:
            if len(found) > most or len(self.members.get(group, ())) > most:
                return None
            found |= self.members.get(group, frozenset())
        return None if len(found) > most else frozenset(found)

    def _walk(self, first: str) -> None:
        """Depth first without recursion, for groups may be nested as deep as there is room in the files."""
        stack: list[tuple[str, list[tuple[int, str]]]] = []
        self._enter(first, stack)
        while stack:
            name, inner = stack[-1]
            if not inner:
                stack.pop()
                del self._way[name]
                self._settle(name)
                if self._count > MAX_MEMBERSHIPS:
                    return
                continue
            index, group = inner.pop()
            place = self._groups[name].place.at("groups", index)
            if group not in self._groups:
                self._report.error(place, self._report.unknown("group", group, self._groups))
            elif group in self._way:
                way = [one for one, _ in stack[self._way[group] : self._way[group] + _SHOWN]]
                cut = len(stack) - self._way[group] > _SHOWN
                shown = " > ".join([*way, *(["…"] if cut else []), group])
                self._report.error(place, f"group {group} contains itself: {shown}")
            else:
                self._enter(group, stack)

    def _enter(self, name: str, stack: list[tuple[str, list[tuple[int, str]]]]) -> None:
        if name not in self.members and name not in self._way:
            self._way[name] = len(stack)
            stack.append((name, list(reversed(list(enumerate(_inner(self._groups[name].shape)))))))

    def _settle(self, name: str) -> None:
        shape = self._groups[name].shape
        members = frozenset(shape) if isinstance(shape, list) else self.of(shape or PartyShape())
        self.members[name] = members
        self._count += len(members)


def _inner(shape: list[str] | PartyShape | None) -> Sequence[str]:
    return shape.groups if isinstance(shape, PartyShape) else ()
