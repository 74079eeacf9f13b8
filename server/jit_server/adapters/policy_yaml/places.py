"""Where the things of a policy stand in its files, and which names nothing refers to: what the lint cannot know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jit_server.adapters.policy_yaml.commands import BundleShape, CommandShape, plain
from jit_server.adapters.policy_yaml.contents import Contents, Entry
from jit_server.adapters.policy_yaml.people import PartyShape
from jit_server.adapters.policy_yaml.report import Place
from jit_server.adapters.policy_yaml.role import RoleShape
from jit_server.domain.ask import Command
from jit_server.domain.policy.finding import Spot

_NAMED = ("groups", "hosts", "commands", "flows")


class FilePlaces:
    """Holds the files' trees: keep it no longer than there are findings to place."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    def spot(self, *path: str | int) -> Spot:
        """The entry at that path from the top of the files, or the nearest thing around it that is written.

        The number of a role's command is the one in the `Role`, where bundles are their commands already.
        """
        match path:
            case ("roles", str() as name, "commands", int() as number, *rest) if name in self._contents.roles:
                place = self._command(self._contents.roles[name], number) or self._place("roles", name, "commands")
                place = place.at(*rest) if place is not None else None
            case (str() as section, *rest):
                place = self._place(section, *rest)
            case _:
                place = None
        return Spot("", 0, 0) if place is None else place.spot()

    def _place(self, section: str, *rest: str | int) -> Place | None:
        entries: Any = getattr(self._contents, section, None)
        match entries, rest:
            case Entry(), _:
                return entries.place.at(*rest)
            case dict(), (str() as name, *inner) if name in entries:
                found: Entry[Any] = entries[name]
            case list(), (int() as number, *inner) if number < len(entries):
                found = entries[number]
            case _:
                return None
        return found.place.at(*inner)

    def _command(self, role: Entry[RoleShape], number: int) -> Place | None:
        found: set[Command] = set()
        for command, place in self._commands(role):
            if command not in found and len(found) == number:
                return place
            found.add(command)
        return None

    def _commands(self, role: Entry[RoleShape]) -> Iterator[tuple[Command, Place]]:
        written = role.shape.commands if role.shape is not None else ()
        for index, entry in enumerate(() if isinstance(written, str) else written):
            if isinstance(entry, BundleShape):
                bundle = self._contents.commands.get(entry.bundle)
                inner = bundle.shape if bundle is not None and bundle.shape else ()
                yield from ((plain(one), bundle.place.at(at)) for at, one in enumerate(inner) if bundle is not None)
            elif isinstance(entry, Command | CommandShape):
                yield plain(entry), role.place.at("commands", index)


def unused_names(contents: Contents) -> tuple[tuple[str, str], ...]:
    """Section and name of every group, selector, bundle and flow that nothing refers to, in the order of the files."""
    used = set(_references(contents))
    return tuple(
        (section, name) for section in _NAMED for name in getattr(contents, section) if (section, name) not in used
    )


def _references(contents: Contents) -> Iterator[tuple[str, str]]:
    parties: list[PartyShape | None] = [
        entry.shape for entry in contents.groups.values() if isinstance(entry.shape, PartyShape)
    ]
    parties += [flow.shape.approvers for flow in contents.flows.values() if flow.shape is not None]
    if contents.changes is not None and contents.changes.shape is not None:
        parties.append(contents.changes.shape.approvers)
    for role in (entry.shape for entry in contents.roles.values() if entry.shape is not None):
        parties += [role.approvers, *(entry for _, entry in role.eligibilities)]
        if isinstance(role.hosts, str):
            yield "hosts", role.hosts
        if role.flow is not None:
            yield "flows", role.flow
        for command in () if isinstance(role.commands, str) else role.commands:
            if isinstance(command, BundleShape):
                yield "commands", command.bundle
    for party in parties:
        yield from (("groups", group) for group in (party.groups if party is not None else ()))
