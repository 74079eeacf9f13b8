"""The program `jit-agent`: `run` for systemd, `enroll` for the administrator of the host."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from jit_agent import __version__
from jit_agent.config import CONFIG_PATH, load_or_explain
from jit_agent.errors import AgentError
from jit_agent.text import safe

EXIT = {
    "usage": 2, "unauthenticated": 4, "denied": 5, "not_found": 6, "conflict": 7, "invalid": 65, "unavailable": 69,
    "try_again": 75, "config": 78,
}  # fmt: skip
"""Exit status by the words of SPEC 4.3; anything else is 1."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except AgentError as e:
        sys.stderr.write(f"jit-agent: {safe(str(e))}\n")
        if e.hint:
            sys.stderr.write(f"hint: {safe(e.hint)}\n")
        return EXIT.get(e.code, 1)
    except KeyboardInterrupt:
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="jit-agent", description="The host's part of jit that talks to the server.")
    parser.add_argument("--version", action="version", version=f"jit-agent {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="serve jit, sudo's log and the server's stream; started by systemd")
    run.add_argument("--config", type=Path, default=CONFIG_PATH, metavar="FILE", help="default: %(default)s")
    run.set_defaults(run=_run)

    enroll = commands.add_parser(
        "enroll",
        help="make this host a member of a server's fleet, with a one-time token",
        epilog="An administrator gets the whole command from: jitctl hosts enroll-token NAME",
    )
    enroll.add_argument("--server", required=True, metavar="HOST:PORT", help="the server's bootstrap port (7444)")
    enroll.add_argument("--ca", required=True, metavar="sha256:HEX", help="fingerprint of the server's CA certificate")
    enroll.add_argument("--token", required=True, metavar="TOKEN", help="the one-time token")
    enroll.add_argument("--force", action="store_true", help="replace the enrolment this host already has")
    enroll.set_defaults(run=_enroll)
    return parser


def _run(options: argparse.Namespace) -> int:
    from jit_agent.daemon import Daemon

    _log_to_journal()
    config_path: Path = options.config
    return asyncio.run(Daemon(load_or_explain(config_path), config_path).run())


def _enroll(options: argparse.Namespace) -> int:
    from jit_agent import enroll

    enrolment = enroll.enroll(
        enroll.Places(), server=options.server, ca=options.ca, token=options.token, force=options.force
    )
    sys.stdout.write(
        f"This host is enrolled as {safe(enrolment.host_name)} ({enrolment.host_id}) with {safe(enrolment.server)}.\n"
    )
    return enroll.restart_services()


class _JournalFormatter(logging.Formatter):
    """One line with the priority that journald reads from standard error; nothing raw gets through (S12)."""

    _PRIORITY = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))

    def format(self, record: logging.LogRecord) -> str:
        priority = next((p for level, p in self._PRIORITY if record.levelno >= level), 7)
        text = safe(super().format(record), limit=8_000)
        return f"<{priority}>{text}"


def _log_to_journal() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JournalFormatter("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


if __name__ == "__main__":
    raise SystemExit(main())
