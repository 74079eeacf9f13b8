"""A policy that changes under people of a lab: the lab's own, with something of a test's beside it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from jit_testing.lab import Lab
from jit_testing.remote import Answer, Desk, Hands
from lab.places import REPOSITORY
from lab.process import LabError

_OWN = (REPOSITORY / "tests/lab/policy.yaml").read_text()
HOSTS = ("web1", "web2")
EVERYTHING = {"argv": [], "run_as_user": "root"}


@dataclass(frozen=True, slots=True)
class LivePolicy:
    """The lab, hands on each of its hosts, and the desks of those who change and approve."""

    lab: Lab
    hands: dict[str, Hands]
    admin: Desk
    carol: Desk

    def files(self, more: str) -> dict[str, str]:
        """The lab's own policy with `more` beside it, by the names of the files."""
        return {"own.yaml": _OWN, **({"more.yaml": f"version: 1\n{more}"} if more else {})}

    def apply(self, more: str, reason: str = "a test") -> Answer:
        """The plan that was carried out, or that waits for a second person.  Raises `LabError` for a refusal."""
        return dict(self.admin.call("policy.apply", files=self.files(more), expected_version=0, reason=reason)["said"])

    def restore(self) -> None:
        """The lab's own policy is in force again, if carol has to approve that too, and nobody has a grant."""
        with contextlib.suppress(LabError):  # nothing would change
            if change := self.apply("").get("change"):
                self.carol.call("policy.approve_change", change["change_id"], "")
        for hands in self.hands.values():
            for person in ("alice", "bob"):
                hands.jit(person, op="drop", grant="")

    def ask(self, host: str, person: str, role: str, **more: object) -> Answer:
        return self.hands[host].jit(person, op="request", role=role, ask=EVERYTHING, reason="a test", **more)

    def have(self, host: str, person: str, role: str) -> str:
        """A grant in force of a role that nobody has to approve; its id."""
        asked = self.ask(host, person, role)
        assert asked["ok"], asked
        waited = self.hands[host].jit(person, op="wait", request=asked["request"]["request_id"])
        assert waited["in_force"], waited
        return str(waited["request"]["grant"]["grant_id"])


@contextlib.contextmanager
def opened(lab: Lab) -> Iterator[LivePolicy]:
    """With the lab's own policy in force and no grant, before and after."""
    with contextlib.ExitStack() as stack:
        hands = {host: stack.enter_context(Hands(lab, host)) for host in HOSTS}
        admin, carol = (stack.enter_context(Desk(lab, person)) for person in ("admin", "carol"))
        made = LivePolicy(lab, hands, admin, carol)
        made.restore()
        stack.callback(made.restore)
        yield made
