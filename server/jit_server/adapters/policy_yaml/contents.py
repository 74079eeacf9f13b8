"""What the files hold, entry by entry and in its shape; what one entry says about another is seen elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter

from jit_server.adapters.policy_yaml import source as yaml_source
from jit_server.adapters.policy_yaml.commands import Bundle, CommandShape
from jit_server.adapters.policy_yaml.labels import ALL_HOSTS, Labels
from jit_server.adapters.policy_yaml.people import FlowShape, Group, PartyShape
from jit_server.adapters.policy_yaml.report import Place, Report
from jit_server.adapters.policy_yaml.role import RoleShape
from jit_server.adapters.policy_yaml.sections import ChangesShape, SuppressShape, TestShape
from jit_server.adapters.policy_yaml.source import UNREADABLE
from jit_server.adapters.policy_yaml.validation import keys_of, validated
from jit_server.adapters.policy_yaml.values import name_of_thing
from jit_server.domain.ask import Command
from jit_server.domain.policy.finding import Finding, PolicyFile, Severity
from jit_server.domain.policy.model import LabelTest

T = TypeVar("T")
MAX_FILES = 100
MAX_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Section:
    """Names and what stands under each; `thing` is what one of them is called."""

    thing: str
    adapter: TypeAdapter[Any]
    keys: tuple[str, ...]


SECTIONS: Mapping[str, Section] = {
    "groups": Section("group", TypeAdapter(Group), keys_of(PartyShape)),
    "hosts": Section("selector", TypeAdapter(Labels), ()),
    "commands": Section("bundle", TypeAdapter(Bundle), keys_of(CommandShape)),
    "flows": Section("flow", TypeAdapter(FlowShape), keys_of(FlowShape)),
    "roles": Section("role", TypeAdapter(RoleShape), keys_of(RoleShape)),
}
LISTS: Mapping[str, Section] = {
    "tests": Section("test", TypeAdapter(TestShape), keys_of(TestShape)),
    "suppress": Section("suppression", TypeAdapter(SuppressShape), keys_of(SuppressShape)),
}
CHANGES = Section("changes", TypeAdapter(ChangesShape), keys_of(ChangesShape))
TOP_KEYS = ("version", *SECTIONS, "changes", *LISTS)


@dataclass(frozen=True, slots=True)
class Entry(Generic[T]):
    """Where it stands, and what it says; `shape` is None for one with an error."""

    place: Place
    shape: T | None


class Contents:
    """One pass over a set of files; what is wrong with the shape of anything is in the report."""

    def __init__(self, untrusted_files: Sequence[PolicyFile], report: Report) -> None:
        self.groups: dict[str, Entry[list[str] | PartyShape]] = {}
        self.hosts: dict[str, Entry[dict[str, LabelTest]]] = {}
        self.commands: dict[str, Entry[list[Command | CommandShape]]] = {}
        self.flows: dict[str, Entry[FlowShape]] = {}
        self.roles: dict[str, Entry[RoleShape]] = {}
        self.changes: Entry[ChangesShape] | None = None
        self.tests: list[Entry[TestShape]] = []
        self.suppress: list[Entry[SuppressShape]] = []
        self._report = report
        self._values = 0
        problem = _too_much(untrusted_files)
        if problem is not None:
            report.add(0, Finding(untrusted_files[0].name, 0, 0, Severity.ERROR, problem))
            return
        for number, file in enumerate(untrusted_files):
            self._read(number, file)

    def _read(self, number: int, file: PolicyFile) -> None:
        source = yaml_source.read(file.text, yaml_source.MAX_VALUES - self._values)
        self._values += source.size
        for problem in source.problems:
            position = problem.position
            finding = Finding(file.name, position.line, position.column, Severity.ERROR, problem.message)
            self._report.add(number, finding)
        if source.root is UNREADABLE:
            return
        top, root = Place(number, file.name, source, ()), source.root
        if not isinstance(root, dict):
            self._report.error(top, f"a policy is a mapping with the keys {', '.join(TOP_KEYS)}")
            return
        for key in root:
            if key not in TOP_KEYS:
                self._report.error(top.at(key), self._report.unknown("key", key, TOP_KEYS), key=True)
        version = root.get("version")
        if version is not UNREADABLE and (type(version) is not int or version != 1):
            self._report.error(top.at("version"), "version must be 1")
        for name, section in SECTIONS.items():
            self._names(top.at(name), root.get(name), section, getattr(self, name))
        for name, section in LISTS.items():
            self._list(top.at(name), root.get(name), section, getattr(self, name))
        if root.get("changes") is not None:
            self._changes(top.at("changes"), root["changes"])

    def _names(self, place: Place, entries: object, section: Section, known: dict[str, Entry[Any]]) -> None:
        if entries is None or entries is UNREADABLE:
            return
        if not isinstance(entries, dict):
            self._report.error(place, f"{place.path[-1]} must be a mapping from names to their settings")
            return
        for name, value in entries.items():
            here = place.at(name)
            try:
                name_of_thing(name)
            except ValueError as error:
                self._report.error(here, str(error), key=True)
            if section.thing == "selector" and name == ALL_HOSTS:
                self._report.error(here, "all: stands for every host, and cannot be another selector's name", key=True)
            if name in known:
                message = f"{section.thing} {name[:80]} is defined at {known[name].place} too"
                self._report.error(here, message, key=True)
                continue
            known[name] = Entry(here, validated(self._report, section.adapter, here, value, section.keys))

    def _list(self, place: Place, entries: object, section: Section, known: list[Entry[Any]]) -> None:
        if entries is None or entries is UNREADABLE:
            return
        if not isinstance(entries, list):
            self._report.error(place, f"{place.path[-1]} must be a list")
            return
        for index, value in enumerate(entries):
            here = place.at(index)
            known.append(Entry(here, validated(self._report, section.adapter, here, value, section.keys)))

    def _changes(self, place: Place, value: object) -> None:
        if self.changes is not None:
            self._report.error(place, f"changes is defined at {self.changes.place} too", key=True)
            return
        self.changes = Entry(place, validated(self._report, CHANGES.adapter, place, value, CHANGES.keys))


def _too_much(files: Sequence[PolicyFile]) -> str | None:
    if len(files) > MAX_FILES:
        return f"the policy has {len(files)} files, the limit is {MAX_FILES}"
    size = sum(len(file.text.encode("utf-8", "surrogatepass")) for file in files)
    return f"the policy has {size} bytes, the limit is {MAX_BYTES}" if size > MAX_BYTES else None
