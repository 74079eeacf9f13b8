"""Policy files in YAML (docs: jit-server(8)) read into the domain's `Policy`.

Every error of every file is reported at once, with file, line and column, and with a suggestion where a name is almost
right.  Nothing that has one error is used.  Warnings name what is allowed but seldom meant.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import pydantic
from pydantic import TypeAdapter

from jit_server.adapters import yaml_source
from jit_server.adapters.policy_model import DAY_S, REQUIRED, Members, PartyModel, RoleModel, name_of_thing
from jit_server.adapters.yaml_source import Path, Source
from jit_server.domain.grant import Record
from jit_server.domain.identity import User
from jit_server.domain.policy import Finding, Policy, PolicyFile, Severity
from jit_server.ports import ParsedPolicy

MAX_BYTES = 1024 * 1024
LONG_S = 12 * 3_600
_TOP_KEYS = ("version", "groups", "roles")
_MEMBERS: TypeAdapter[list[str]] = TypeAdapter(Members)
_ROLE = TypeAdapter(RoleModel)
_KNOWN_KEYS: Mapping[Path, Iterable[str]] = {
    (): RoleModel.model_fields,
    ("eligible",): PartyModel.model_fields,
    ("approvers",): PartyModel.model_fields,
    ("duration",): ("default", "max"),
}


class YamlPolicyParser:
    """Reads policy files; stateless."""

    def parse(self, untrusted_files: Sequence[PolicyFile], version: int, people: Collection[User]) -> ParsedPolicy:
        """The policy, unless a finding is an error; findings are in the order of files, lines and columns."""
        reading = _Reading(untrusted_files)
        reading.check(frozenset(user.name for user in people))
        findings = tuple(reading.findings())
        if any(finding.severity is Severity.ERROR for finding in findings):
            return ParsedPolicy(None, findings)
        return ParsedPolicy(reading.policy(version), findings)


class _Place:
    """A path within one file, so that a finding can say where it is."""

    def __init__(self, file: int, name: str, source: Source, path: Path) -> None:
        self.file, self.name, self._source, self.path = file, name, source, path

    def at(self, *path: str | int) -> _Place:
        return _Place(self.file, self.name, self._source, (*self.path, *path))

    def finding(self, severity: Severity, message: str, *, key: bool = False) -> tuple[int, Finding]:
        position = self._source.find(self.path, key=key)
        return self.file, Finding(self.name, position.line, position.column, severity, message)

    def __str__(self) -> str:
        position = self._source.find(self.path, key=True)
        return f"{self.name}:{position.line}"


class _Reading:
    """One pass over a set of files: what was found, and what is wrong with it."""

    def __init__(self, files: Sequence[PolicyFile]) -> None:
        self._findings: list[tuple[int, Finding]] = []
        self._groups: dict[str, tuple[_Place, list[str]]] = {}
        self._roles: dict[str, tuple[_Place, RoleModel | None]] = {}
        if (size := sum(len(file.text.encode("utf-8", "surrogatepass")) for file in files)) > MAX_BYTES:
            message = f"the policy has {size} bytes, the limit is {MAX_BYTES}"
            self._findings.append((0, Finding(files[0].name, 0, 0, Severity.ERROR, message)))
            return
        for number, file in enumerate(files):
            self._read(number, file)

    def findings(self) -> Iterable[Finding]:
        ordered = sorted(self._findings, key=lambda found: (found[0], found[1].line, found[1].column))
        return (finding for _, finding in ordered)

    def policy(self, version: int) -> Policy:
        groups = {name: frozenset(members) for name, (_, members) in self._groups.items()}
        roles = {name: model.as_role(name) for name, (_, model) in self._roles.items() if model is not None}
        return Policy(version, groups, roles)

    # Shapes, file by file

    def _read(self, number: int, file: PolicyFile) -> None:
        source = yaml_source.read(file.text)
        for problem in source.problems:
            position = problem.position
            finding = Finding(file.name, position.line, position.column, Severity.ERROR, problem.message)
            self._findings.append((number, finding))
        if source.root is yaml_source.UNREADABLE:
            return
        top = _Place(number, file.name, source, ())
        if not isinstance(source.root, dict):
            self._error(top, "a policy is a mapping with the keys version, groups and roles")
            return
        for key in source.root:
            if key not in _TOP_KEYS:
                self._error(top.at(key), _unknown("key", key, _TOP_KEYS), key=True)
        version = source.root.get("version")
        if version is not yaml_source.UNREADABLE and (type(version) is not int or version != 1):
            self._error(top.at("version"), "version must be 1")
        for name, place, value in self._entries(top, source.root, "groups"):
            self._add_group(name, place, value)
        for name, place, value in self._entries(top, source.root, "roles"):
            self._add_role(name, place, value)

    def _entries(self, top: _Place, root: Mapping[str, object], section: str) -> Iterable[tuple[str, _Place, object]]:
        entries = root.get(section)
        if entries is None or entries is yaml_source.UNREADABLE:
            return
        if not isinstance(entries, dict):
            self._error(top.at(section), f"{section} must be a mapping from names to their settings")
            return
        for name, value in entries.items():
            place = top.at(section, name)
            try:
                name_of_thing(name)
            except ValueError as error:
                self._error(place, str(error), key=True)
            yield name, place, value

    def _add_group(self, name: str, place: _Place, value: object) -> None:
        if name in self._groups:
            self._error(place, f"group {name} is defined at {self._groups[name][0]} too", key=True)
            return
        members = self._validated(_MEMBERS, place, value)
        self._groups[name] = (place, members if members is not None else [])

    def _add_role(self, name: str, place: _Place, value: object) -> None:
        if name in self._roles:
            self._error(place, f"role {name} is defined at {self._roles[name][0]} too", key=True)
            return
        self._roles[name] = (place, self._validated(_ROLE, place, value))

    def _validated(self, adapter: TypeAdapter[Any], place: _Place, value: object) -> Any:
        try:
            return adapter.validate_python(value)
        except pydantic.ValidationError as error:
            for one in error.errors(include_url=False, include_context=False):
                if one["input"] is yaml_source.UNREADABLE:
                    continue
                path = tuple(part for part in one["loc"] if part not in _SYNTHETIC)
                if one["type"] == "extra_forbidden":
                    known = _KNOWN_KEYS.get(path[:-1], ("path", "args"))
                    self._error(place.at(*path), _unknown("key", str(path[-1]), known), key=True)
                elif one["type"] == "missing":
                    self._error(place.at(*path[:-1]), f"{path[-1]} is missing", key=True)
                else:
                    what = ".".join(str(part) for part in path if isinstance(part, str))
                    self._error(place.at(*path), f"{what}: {_message(one)}" if what else _message(one))
            return None

    # What one part says about another

    def check(self, people: frozenset[str]) -> None:
        """Everything that needs more than one entry to be seen."""
        for place, members in self._groups.values():
            self._warn_unknown_people(place, members, people)
        for name, (place, model) in self._roles.items():
            if model is not None:
                self._check_role(name, place, model, people)
        if not self._roles and not self._findings:
            self._findings.append((0, Finding("", 0, 0, Severity.WARNING, "no roles: nobody can be granted anything")))

    def _check_role(self, name: str, place: _Place, role: RoleModel, people: frozenset[str]) -> None:
        for party_name, party in (("eligible", role.eligible), ("approvers", role.approvers)):
            for index, group in enumerate(party.groups):
                if group not in self._groups:
                    self._error(place.at(party_name, "groups", index), _unknown("group", group, self._groups))
            self._warn_unknown_people(place.at(party_name, "people"), party.people, people)
        if not role.hosts.all_hosts and not role.hosts.labels:
            self._error(place.at("hosts"), f"role {name} reaches no host: name labels, or write `hosts: all`")
        if role.duration.default > role.duration.max:
            self._error(place.at("duration", "default"), "duration: default is longer than max")
        if role.shell and not role.commands.all:
            self._error(place.at("shell"), "shell: a shell runs anything, so it needs `commands: ALL`")
        self._check_approvals(name, place, role)
        self._check_power(name, place, role)
        self._check_commands(place, role)
        self._check_recording(place, role)

    def _check_approvals(self, name: str, place: _Place, role: RoleModel) -> None:
        approvers, eligible = self._members(role.approvers), self._members(role.eligible)
        undefined = any(group not in self._groups for group in (*role.approvers.groups, *role.eligible.groups))
        if undefined:
            return
        if role.approvals > len(approvers):
            message = f"role {name} needs {role.approvals} approvals, but only {len(approvers)} people may give one"
            self._error(place.at("approvals"), message)
        elif approvers and role.approvals > 0:
            # S8: nobody approves themselves.
            stuck = sorted(person for person in eligible if role.approvals > len(approvers - {person}))
            if stuck:
                message = f"nobody else could approve a request of {', '.join(stuck)}: no one approves themselves"
                self._warn(place.at("approvers"), message)
        if not eligible:
            self._warn(place.at("eligible"), f"nobody is eligible for role {name}")

    def _check_power(self, name: str, place: _Place, role: RoleModel) -> None:
        if role.commands.all and "root" in role.run_as:
            if role.approvals == 0:
                self._warn(place, f"role {name} gives all of root without an approval", key=True)
            if not role.mfa:
                self._warn(place, f"role {name} gives all of root without a second factor", key=True)
        if role.duration.max > DAY_S:
            self._warn(
                place.at("duration", "max"), "duration: hosts refuse more than 24h unless their ceiling is raised"
            )
        elif role.duration.max > LONG_S:
            self._warn(place.at("duration", "max"), "duration: more than 12h is close to a standing right")
        if role.offline >= role.duration.max:
            self._warn(place.at("offline"), "offline: a lease as long as the longest grant ends nothing early")

    def _check_recording(self, place: _Place, role: RoleModel) -> None:
        if role.subcommands and role.record == Record.NONE:
            self._error(place.at("subcommands"), "subcommands: nothing is told of a session with `record: none`")
        if not role.watch:
            return
        if role.record in {Record.NONE, Record.EVENTS}:
            self._error(place.at("watch"), "watch: there is nothing to see without `record: output` or `record: input`")
        if role.recording != REQUIRED:
            self._error(
                place.at("watch"), "watch: what may go unrecorded cannot be watched: write `recording: required`"
            )
        watchers, eligible = self._members(role.approvers), self._members(role.eligible)
        alone = sorted(person for person in eligible if not watchers - {person})
        if alone:
            self._warn(place.at("watch"), f"only an administrator could watch sessions of {', '.join(alone)}")

    def _check_commands(self, place: _Place, role: RoleModel) -> None:
        for index, command in enumerate(role.commands.items):
            if any(character in word for word in (command.path, *(command.args or ())) for character in "*?["):
                self._warn(
                    place.at("commands", index), "commands: * ? [ stand for themselves here, they match nothing else"
                )

    def _warn_unknown_people(self, place: _Place, names: Sequence[str], people: frozenset[str]) -> None:
        for index, name in enumerate(names):
            if name not in people:
                self._warn(place.at(index), f"the server knows no {name} yet")

    def _members(self, party: PartyModel) -> frozenset[str]:
        groups = (self._groups[group][1] for group in party.groups if group in self._groups)
        return frozenset(party.people).union(*groups)

    def _error(self, place: _Place, message: str, *, key: bool = False) -> None:
        self._findings.append(place.finding(Severity.ERROR, message, key=key))

    def _warn(self, place: _Place, message: str, *, key: bool = False) -> None:
        self._findings.append(place.finding(Severity.WARNING, message, key=key))


# Parts of a location that the models add to what the file says.
_SYNTHETIC = frozenset({"labels", "items"})

_MESSAGES = {
    "string_type": "must be a text; put it in quotes",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
}


def _message(error: Any) -> str:
    text = str(_MESSAGES.get(error["type"], error["msg"].removeprefix("Value error, ")))
    return text[:1].lower() + text[1:]


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    suggestion = f"; did you mean {close[0]}?" if close else ""
    return f"unknown {what} {name[:80]!a}{suggestion}"
