"""`jitctl`: the command of approvers, administrators and auditors.

Commands are imported when they are called, so that help and completion are
quick.  This is the only place where a failure becomes an exit status
(SPEC 4.3); nobody ever sees a traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from .errors import EXIT_STATUS, INTERRUPTED, CtlError
from .lazy import LazyGroup
from .options import ErrorStyle
from .output import say, tell

_COMMANDS = {
    "login": ("jit_ctl.commands.login:login", "Get a certificate for some hours."),
    "logout": ("jit_ctl.commands.login:logout", "Forget the certificate."),
    "whoami": ("jit_ctl.commands.login:whoami", "Show who you are and what you may do."),
    "mfa": ("jit_ctl.commands.mfa:mfa", "Your second factor."),
    "requests": ("jit_ctl.commands.requests:requests", "See and decide requests."),
    "grants": ("jit_ctl.commands.grants:grants", "See and end grants."),
    "sessions": ("jit_ctl.commands.sessions:sessions", "See, replay and stop what runs under sudo."),
    "lock": ("jit_ctl.commands.locks:lock", "Lock a person, a host or a role, at once."),
    "unlock": ("jit_ctl.commands.locks:unlock", "Lift locks."),
    "locks": ("jit_ctl.commands.locks:locks", "See locks."),
    "alerts": ("jit_ctl.commands.alerts:alerts", "See what somebody has to look at."),
    "hosts": ("jit_ctl.commands.hosts:hosts", "Add, see and remove hosts."),
    "users": ("jit_ctl.commands.users:users", "Add, see and disable people."),
    "policy": ("jit_ctl.commands.policy:policy", "Check, change and ask the policy."),
    "eligibility": ("jit_ctl.commands.eligibility:eligibility", "See who may ask for what until when, and renew it."),
    "audit": ("jit_ctl.commands.audit:audit", "Read the audit log."),
    "completion": ("jit_ctl.commands.shell:completion", "Print a completion script for your shell."),
    "version": ("jit_ctl.commands.shell:version", "Show the version."),
}


@click.group(
    cls=LazyGroup,
    commands_at=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
def cli() -> None:
    """Just-in-time sudo: see and decide requests, watch sessions, run the fleet, read the audit log."""


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; return its exit status."""
    # gRPC, imported later, writes log lines to stderr; ours are the ones a person can use.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    style = ErrorStyle()
    try:
        status = cli.main(args=arguments, prog_name="jitctl", standalone_mode=False, obj=style)
        sys.stdout.flush()
    except CtlError as error:
        tell(error, as_json=style.json)
        return error.exit_status
    except click.ClickException as error:
        tell(_usage_error(error), as_json=style.json)
        return EXIT_STATUS["usage"]
    except (KeyboardInterrupt, click.Abort):
        say("")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read us has seen enough; the interpreter must not complain when it flushes at exit.
        # Inside a command click does the same, with the same status.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_STATUS["failed"]
    except Exception as error:
        # A bug, or a machine in trouble: one line of what it was, and no traceback.
        tell(CtlError("failed", f"{type(error).__name__}: {error}", "please report this"), as_json=style.json)
        return EXIT_STATUS["failed"]
    return status if isinstance(status, int) else 0


def _usage_error(error: click.ClickException) -> CtlError:
    context = error.ctx if isinstance(error, click.UsageError) else None
    where = context.command_path if context else "jitctl"
    return CtlError("usage", error.format_message().rstrip("."), f"see '{where} --help'")


def main() -> None:
    sys.exit(run())
