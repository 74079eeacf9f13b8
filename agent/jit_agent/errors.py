"""What can go wrong in the agent, as people should hear it.

AgentError              one line for a person; `code` is a word of SPEC 4.3, `hint` says what to do next
  Unavailable           enforcer, server or spool does not answer; nothing was done, or nobody knows whether it was
    EnforcerUnavailable
    ServerUnavailable
    SpoolUnavailable    the spool cannot keep one more record
  EnforcerRefused       the enforcer's answer is no; `enforcer_code` is a word of SPEC 3.4
  Malformed             a message from outside is not what its contract says
  Misconfigured         a file of ours cannot be used
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class AgentError(Exception):
    """Base of all expected failures; `str()` is one line, not yet escaped for a terminal."""

    def __init__(self, message: str, *, code: str = "internal", hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


class Unavailable(AgentError):
    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, code="unavailable", hint=hint)


class EnforcerUnavailable(Unavailable):
    def __init__(self, message: str) -> None:
        super().__init__(message, hint="see: systemctl status jit-enforcer.service")


class ServerUnavailable(Unavailable):
    def __init__(self, message: str) -> None:
        super().__init__(message, hint="try again later; jit doctor says more")


class SpoolUnavailable(Unavailable):
    def __init__(self, message: str) -> None:
        super().__init__(message, hint="is the disk of /var/lib/jit-agent full?")


class EnforcerRefused(AgentError):
    """The enforcer said no, for a reason of its own."""

    def __init__(self, enforcer_code: str, message: str, told: Mapping[str, Any] | None = None) -> None:
        super().__init__(message, code="denied")
        self.enforcer_code = enforcer_code
        self.told: Mapping[str, Any] = told or {}
        """The answer's other fields, unread."""


class Malformed(AgentError):
    def __init__(self, message: str) -> None:
        super().__init__(message, code="invalid")


class Misconfigured(AgentError):
    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, code="config", hint=hint)
