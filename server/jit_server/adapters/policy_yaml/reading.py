"""From the texts to the policy: shapes, then names, then what the roles mean as a whole."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from jit_server.adapters.policy_yaml.building import policy_of
from jit_server.adapters.policy_yaml.checking import check_roles
from jit_server.adapters.policy_yaml.contents import Contents
from jit_server.adapters.policy_yaml.membership import Membership
from jit_server.adapters.policy_yaml.places import FilePlaces, unused_names
from jit_server.adapters.policy_yaml.proposal import proposal
from jit_server.adapters.policy_yaml.references import References
from jit_server.adapters.policy_yaml.report import Report
from jit_server.domain.identity import User
from jit_server.domain.policy.finding import PolicyFile
from jit_server.domain.suggestion import Proposed
from jit_server.ports import ParsedPolicy


class YamlPolicyParser:
    """Reads policy files; stateless."""

    def parse(self, untrusted_files: Sequence[PolicyFile], version: int, people: Collection[User]) -> ParsedPolicy:
        """The policy, unless a finding is an error; findings are in the order of files, lines and columns."""
        report = Report()
        contents = Contents(untrusted_files, report)
        membership = Membership(contents.groups, report)
        references = References(contents, membership, report, frozenset(user.name for user in people))
        references.check()
        check_roles(references)
        if report.errors:
            return ParsedPolicy(None, report.findings)
        policy = policy_of(contents, membership, version)
        return ParsedPolicy(policy, report.findings, FilePlaces(contents), unused_names(contents))

    def proposal(
        self, files: Sequence[PolicyFile], role: str, commands: Sequence[Proposed], heading: Sequence[str]
    ) -> str:
        """The role as a file of its own, with these commands instead of its own."""
        return proposal(files, role, commands, heading)
