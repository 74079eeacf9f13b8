"""What is wrong with a role as a whole: its parts contradict each other, or refer to what is not there.

What is allowed, but seldom meant, is for the lint (`domain/policy/lint`).
"""

from __future__ import annotations

from jit_server.adapters.policy_yaml.building import approval_of, commands_of
from jit_server.adapters.policy_yaml.commands import BundleShape
from jit_server.adapters.policy_yaml.labels import ALL_HOSTS
from jit_server.adapters.policy_yaml.people import Approval, PartyShape
from jit_server.adapters.policy_yaml.references import References
from jit_server.adapters.policy_yaml.report import Place
from jit_server.adapters.policy_yaml.role import APPROVAL_KEYS, REQUIRED, RoleShape
from jit_server.adapters.policy_yaml.source import Path
from jit_server.domain.ask import ALL, MAX_COMMANDS
from jit_server.domain.grant import Record


def check_roles(references: References) -> None:
    """Tell of everything that is wrong with the roles."""
    for name, entry in references.contents.roles.items():
        if entry.shape is not None:
            _RoleCheck(references, name, entry.place, entry.shape).check()


class _RoleCheck:
    """One role."""

    def __init__(self, references: References, name: str, place: Place, role: RoleShape) -> None:
        self._references, self._report = references, references.report
        self._contents = references.contents
        self._name, self._place, self._role = name, place, role
        self._approval: Approval = approval_of(self._contents, role)

    def check(self) -> None:
        defined = self._names()
        self._duration()
        if self._role.shell and self._role.commands != ALL:
            self._error("shell", "shell: a shell runs anything, so it needs `commands: ALL`")
        if defined:
            self._people()
        self._recording()

    def _names(self) -> bool:
        """Whether every group among the role's people is defined."""
        role, report, contents = self._role, self._report, self._contents
        if isinstance(role.hosts, str) and role.hosts != ALL_HOSTS and role.hosts not in contents.hosts:
            self._error("hosts", report.unknown("selector", role.hosts, (ALL_HOSTS, *contents.hosts)))
        for index, entry in enumerate(() if isinstance(role.commands, str) else role.commands):
            if isinstance(entry, BundleShape) and entry.bundle not in contents.commands:
                message = report.unknown("bundle", entry.bundle, contents.commands)
                report.error(self._place.at("commands", index, "bundle"), message)
        count = len(commands_of(contents, role))
        if role.commands != ALL and count > MAX_COMMANDS:
            self._error("commands", f"commands: {count} with those of the bundles, the limit is {MAX_COMMANDS}")
        if role.flow is not None:
            if role.flow not in contents.flows:
                self._error("flow", report.unknown("flow", role.flow, contents.flows))
            for key in APPROVAL_KEYS:
                if getattr(role, key) is not None:
                    report.error(self._place.at(key), f"{key} is what flow {role.flow} says: write one or the other")
        parties: list[tuple[Path, PartyShape]] = [*role.eligibilities]
        if role.approvers is not None:
            parties.append((("approvers",), role.approvers))
        defined = [self._references.party(self._place.at(*path), party) for path, party in parties]
        return all(defined)

    def _duration(self) -> None:
        role = self._role
        if role.duration.default > role.duration.max:
            self._report.error(self._place.at("duration", "default"), "duration: default is longer than max")

    def _people(self) -> None:
        if self._role.flow is None:
            self._references.enough(self._place, f"role {self._name}", self._approval)

    def _recording(self) -> None:
        role = self._role
        if role.subcommands and role.record == Record.NONE:
            self._error("subcommands", "subcommands: nothing is told of a session with `record: none`")
        if not role.watch:
            return
        if role.record in {Record.NONE, Record.EVENTS}:
            self._error("watch", "watch: there is nothing to see without `record: output` or `record: input`")
        if role.recording != REQUIRED:
            self._error("watch", "watch: what may go unrecorded cannot be watched: write `recording: required`")

    def _error(self, key: str, message: str) -> None:
        self._report.error(self._place.at(key), message)
