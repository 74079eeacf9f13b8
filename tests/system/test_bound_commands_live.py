"""A role bound to a program's content, its arguments, a directory and a variable: that, and no more (SPEC 9.3)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from jit_testing.lab import Lab

TOOL = "/usr/local/bin/deploy-tool"
SCRIPT = b'#!/bin/sh\necho "$(pwd) stage=$DEPLOY_STAGE other=$DEPLOY_OTHER $*"\n'
EXPRESSION = "^(start|stop) [a-z0-9-]+$"
POLICY = f"""\
version: 1
roles:
  bound:
    hosts: {{tier: web}}
    commands:
      - {{path: {TOOL}, args: {{regex: '{EXPRESSION}'}}, sha256: {hashlib.sha256(SCRIPT).hexdigest()}}}
    directory: /srv
    environment: [DEPLOY_STAGE]
    eligible: {{people: [alice], permanent: true}}
    approvers: {{groups: [leads]}}
    duration: {{default: 5m, max: 10m}}
    mfa: false
"""
BOTH = pytest.mark.parametrize("host", ["web1", "web2"])


def put(lab: Lab, host: str, content: bytes, folder: Path) -> None:
    """The program on the host, with this content."""
    source = folder / "deploy-tool"
    source.write_bytes(content)
    lab.put(host, source, TOOL)
    lab.run(host, "chmod", "755", TOOL)


@pytest.fixture(scope="module", autouse=True)
def role(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("bound")
    (folder / "bound.yaml").write_text(POLICY)
    lab.put("server", folder / "bound.yaml", "/srv/bound.yaml")
    lab.jitctl("policy", "apply", "--yes", "/srv/policy.yaml", "/srv/bound.yaml", user="admin")
    for host in ("web1", "web2"):
        put(lab, host, SCRIPT, folder)
    yield
    for host in ("web1", "web2"):
        lab.exec(host, "jit", "drop", "--all", user="alice")
        lab.run(host, "rm", TOOL)
    lab.jitctl("policy", "apply", "--yes", "/srv/policy.yaml", user="admin")


def sudo(lab: Lab, host: str, *words: str) -> tuple[int, str]:
    done = lab.exec(
        host, "env", "DEPLOY_STAGE=blue", "DEPLOY_OTHER=x", "LD_PRELOAD=/nowhere.so", "sudo", "-n", *words, user="alice"
    )
    return done.returncode, done.stdout.strip()


@BOTH
def test_only_what_is_named_runs_and_where_it_is_named(lab: Lab, host: str, tmp_path: Path) -> None:
    lab.exec(host, "jit", "drop", "--all", user="alice")
    assert sudo(lab, host, TOOL, "start", "web-1")[0] == 1
    lab.elevate(host, role="bound", lasts="5m")
    meant = (0, "/srv stage=blue other= start web-1")
    assert sudo(lab, host, TOOL, "start", "web-1") == meant
    for words in (
        (TOOL,),
        (TOOL, "start"),
        (TOOL, "restart", "web-1"),
        (TOOL, "start", "web-1", "web-2"),
        (TOOL, "start web-1"),
        (TOOL, "start", "../etc"),
        (TOOL, "start", "web_1"),
        ("/usr/bin/id",),
        ("-D", "/tmp", TOOL, "start", "web-1"),
        ("DEPLOY_OTHER=y", TOOL, "start", "web-1"),
        ("-s",),
    ):
        assert sudo(lab, host, *words) == (1, ""), words
    put(lab, host, SCRIPT.replace(b"pwd", b"id "), tmp_path)
    assert sudo(lab, host, TOOL, "start", "web-1") == (1, "")
    put(lab, host, SCRIPT, tmp_path)
    assert sudo(lab, host, TOOL, "start", "web-1") == meant


@BOTH
def test_a_grant_that_passes_no_variable_takes_it_from_the_other(lab: Lab, host: str) -> None:
    """S1: of overlapping grants only what all of them pass is passed."""
    lab.exec(host, "jit", "drop", "--all", user="alice")
    lab.elevate(host, role="bound", lasts="5m")
    assert sudo(lab, host, TOOL, "stop", "a")[1].startswith("/srv stage=blue")
    wide = lab.elevate(host, role="drill-admin", lasts="2m")
    assert "stage= " in sudo(lab, host, TOOL, "stop", "a")[1]
    lab.run(host, "jit", "drop", wide, user="alice")
    assert sudo(lab, host, TOOL, "stop", "a")[1].startswith("/srv stage=blue")
