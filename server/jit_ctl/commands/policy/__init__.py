"""policy: its files, how it changes, and what it says; the server reads the policy, this only carries it."""

from __future__ import annotations

import click

from jit_ctl.lazy import LazyGroup

_AT = "jit_ctl.commands.policy"
_COMMANDS = {
    "lint": (f"{_AT}.checking:lint", "Check policy files."),
    "schema": (f"{_AT}.checking:schema", "Print the JSON Schema of policy files."),
    "test": (f"{_AT}.checking:test", "Run the tests of a policy."),
    "plan": (f"{_AT}.changing:plan", "Say what policy files would change."),
    "apply": (f"{_AT}.changing:apply", "Put policy files in force."),
    "rollback": (f"{_AT}.changing:rollback", "Put a former version in force again."),
    "diff": (f"{_AT}.showing:diff", "Compare versions and files."),
    "show": (f"{_AT}.showing:show", "Show the policy in force, or a version of it."),
    "history": (f"{_AT}.showing:history", "List the versions."),
    "changes": (f"{_AT}.changes:changes", "List changes that wait for a second person."),
    "change": (f"{_AT}.changes:change", "See and decide such changes."),
    "explain": (f"{_AT}.asking:explain", "Say why somebody may, or may not."),
    "who-can": (f"{_AT}.asking:who_can", "List who can run something as an account."),
    "what-can": (f"{_AT}.asking:what_can", "List what somebody can do where."),
    "test-command": (f"{_AT}.asking:test_command", "Say whether a role lets a command through."),
    "suggest": (f"{_AT}.asking:suggest", "Propose a narrower role from what was run."),
}


@click.group(cls=LazyGroup, commands_at=_COMMANDS)
def policy() -> None:
    """Check, change and ask the policy."""
