"""The server of a lab as its approver uses it, while it may die and come back."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

from faults.rig import Rig, explained, wait_for

APPROVER = "carol"


@dataclass(frozen=True, slots=True)
class Server:
    """The server and its approver, shared by cases that run at the same time."""

    rig: Rig

    def jitctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.rig.lab.exec("server", "jitctl", *words, user=APPROVER)

    def approve(self, request: str) -> None:
        """Approve, and ask again while the server does not answer; raises `Trouble`."""
        said = ""

        def done() -> bool:
            nonlocal said
            told = self.jitctl("requests", "approve", request)
            said = told.stderr.strip()
            return told.returncode == 0 or "already" in said

        with explained(lambda: said):
            wait_for("the approval", done)

    def revoke(self, grant: str) -> None:
        """Revoke, and ask again while the server does not answer."""
        said = ""

        def done() -> bool:
            nonlocal said
            told = self.jitctl("grants", "revoke", grant, "-m", "a fault")
            said = told.stderr.strip()
            return told.returncode == 0 or "already" in said

        with explained(lambda: said):
            wait_for("the revocation", done)
