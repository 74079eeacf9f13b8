"""Names that one entry uses and another one has to define, and people that the server does not know."""

from __future__ import annotations

from collections.abc import Sequence

from jit_server.adapters.policy_yaml.contents import Contents
from jit_server.adapters.policy_yaml.membership import Membership
from jit_server.adapters.policy_yaml.people import Approval, PartyShape
from jit_server.adapters.policy_yaml.report import Place, Report
from jit_server.domain.policy.lint import UNKNOWN_PERSON


class References:
    """Tells of every name that stands for nothing; each person the server does not know is told of once."""

    def __init__(self, contents: Contents, membership: Membership, report: Report, people: frozenset[str]) -> None:
        self.contents, self.membership, self.report = contents, membership, report
        self._people = people
        self._strangers: set[str] = set()

    def check(self) -> None:
        """Everything but the roles."""
        contents = self.contents
        for entry in contents.groups.values():
            if isinstance(entry.shape, PartyShape):
                self.people(entry.place.at("people"), entry.shape.people)
            elif entry.shape is not None:
                self.people(entry.place, entry.shape)
        for name, flow in contents.flows.items():
            if flow.shape is not None and self.party(flow.place.at("approvers"), flow.shape.approvers):
                self.enough(flow.place, f"flow {name}", flow.shape.as_approval())
        changes = contents.changes
        if changes is not None and changes.shape is not None:
            approval = Approval(changes.shape.approvers, changes.shape.approvals)
            if self.party(changes.place.at("approvers"), approval.approvers):
                self.enough(changes.place, "a change", approval)
        self._tests()
        for suppression in contents.suppress:
            if suppression.shape is not None:
                self._role(suppression.place, suppression.shape.role)

    def party(self, place: Place, party: PartyShape) -> bool:
        """Whether every group in it is defined."""
        defined = True
        for index, group in enumerate(party.groups):
            if group not in self.membership:
                defined = False
                message = self.report.unknown("group", group, self.contents.groups)
                self.report.error(place.at("groups", index), message)
        self.people(place.at("people"), party.people)
        return defined

    def people(self, place: Place, names: Sequence[str]) -> None:
        """Warn of those the server does not know."""
        for index, name in enumerate(names):
            if name not in self._people and name not in self._strangers:
                self._strangers.add(name)
                message = f"the server knows no {name} yet"
                self.report.warn(place.at(index), message, rule=UNKNOWN_PERSON.name, fix=UNKNOWN_PERSON.fix)

    def enough(self, place: Place, what: str, approval: Approval) -> bool:
        """Whether so many people are named as have to approve."""
        able = self.membership.few_of(approval.approvers, approval.approvals)
        if able is None or len(able) == approval.approvals:
            return True
        needed = "1 approval" if approval.approvals == 1 else f"{approval.approvals} approvals"
        message = f"{what} needs {needed}, but only {len(able)} {'person' if len(able) == 1 else 'people'} may give one"
        self.report.error(place.at("approvals"), message)
        return False

    def _tests(self) -> None:
        named: dict[str, Place] = {}
        for test in self.contents.tests:
            if test.shape is None:
                continue
            if test.shape.name in named:
                message = f"test {test.shape.name} is defined at {named[test.shape.name]} too"
                self.report.error(test.place.at("name"), message)
            named.setdefault(test.shape.name, test.place)
            if test.shape.role is not None:
                self._role(test.place, test.shape.role)

    def _role(self, place: Place, name: str) -> None:
        if name not in self.contents.roles:
            self.report.error(place.at("role"), self.report.unknown("role", name, self.contents.roles))
