"""Levels: a test's level is the first folder under tests/; a required level that ran nothing fails the run."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Before anything imports gRPC: its fork handlers can hang the programs that tests start.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

# How fast a busy machine makes up examples says nothing about what is tested.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

ROOT = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--require-level", action="append", default=[], help="fail unless a test of this level ran")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(LevelCount(config.getoption("--require-level")), "level-count")


class LevelCount:
    """Counts outcomes by level, prints them, and turns a missing level into a failure."""

    def __init__(self, required: list[str]) -> None:
        self._required = required
        self._outcomes: dict[str, Counter[str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # A set-up that fails or skips has no call phase; it counts by its own outcome.
        if report.when == "call" or report.outcome != "passed":
            level = Path(report.nodeid.split("::")[0]).parts[1]
            self._outcomes.setdefault(level, Counter())[report.outcome] += 1

    def _missing(self) -> list[str]:
        return [level for level in self._required if not self._outcomes.get(level, Counter())["passed"]]

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._missing() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("tests by level")
        for level, outcomes in sorted(self._outcomes.items()):
            words = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
            terminalreporter.line(f"{level:14} {words}")
        for level in self._missing():
            terminalreporter.line(f"{level:14} REQUIRED, but nothing of it passed", red=True)
