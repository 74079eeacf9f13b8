"""Passwords are checked by the machine's own PAM: real pam_unix, in a mount namespace with accounts of our own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
alice:x:7001:7001::/nonexistent:/bin/sh
nopass:x:7002:7002::/nonexistent:/bin/sh
expired:x:7003:7003::/nonexistent:/bin/sh
"""
# `nullok`, so that only our own flag stands between an empty password and a login.
STACK = "auth required pam_unix.so nullok nodelay\naccount required pam_unix.so\n"
FALLBACK = "auth required pam_permit.so\naccount required pam_permit.so\n"

# Without a private /etc the test could not have accounts of its own and leave the machine as it was.
ENTER = """\
set -e
for name in pam.d passwd shadow; do mount --bind "$1/$name" "/etc/$name"; done
exec "$2" -c "$3" "$4"
"""

ASK = """\
import asyncio, json, sys
from jit_server.adapters.pam import PamPasswordChecker

async def ask(checker, account, password):
    try:
        await checker.check(account, password)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "accepted"

async def main():
    checker = PamPasswordChecker()
    print(json.dumps([await ask(checker, *pair) for pair in json.loads(sys.argv[1])]))
    checker.close()

asyncio.run(main())
"""


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    hashed = subprocess.run(
        ["openssl", "passwd", "-6", "-stdin"], input="right horse", capture_output=True, text=True, check=True
    ).stdout.strip()
    shadow = f"root:*:19000::::::\nalice:{hashed}:19000::::::\nnopass::19000::::::\nexpired:{hashed}:19000:0:1:7:0:1:\n"
    (tmp_path / "pam.d").mkdir()
    (tmp_path / "pam.d" / "jit-server").write_text(STACK)
    (tmp_path / "pam.d" / "other").write_text(FALLBACK)
    (tmp_path / "passwd").write_text(PASSWD)
    (tmp_path / "shadow").write_text(shadow)
    return tmp_path


def ask(etc: Path, *pairs: tuple[str, str]) -> list[str]:
    command = ["unshare", "--mount", "sh", "-c", ENTER, "sh", str(etc), sys.executable, ASK, json.dumps(pairs)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    answers: list[str] = json.loads(done.stdout)
    return answers


def test_only_the_right_password_of_an_account_in_good_standing_is_accepted(etc: Path) -> None:
    refused = "Unauthenticated: the directory refuses this account or password"
    assert ask(
        etc,
        ("alice", "right horse"),
        ("alice", "wrong horse"),
        ("alice", ""),
        ("nobody-here", "right horse"),
        ("expired", "right horse"),
        ("alice\0root", "right horse"),
        ("alice", "right horse\0"),
        ("alice\n", "right horse"),
        ("root", "*"),
        ("alice", "right horse"),
    ) == ["accepted", *[refused] * 8, "accepted"]


def test_an_account_without_a_password_is_refused_whatever_is_typed(etc: Path) -> None:
    answers = ask(etc, ("nopass", "anything"), ("nopass", " "), ("alice", "right horse"))
    assert [answer.partition(":")[0] for answer in answers] == ["Unauthenticated", "Unauthenticated", "accepted"]


def test_without_its_service_file_nobody_gets_in_though_the_fallback_would_let_everybody(etc: Path) -> None:
    (etc / "pam.d" / "jit-server").rename(etc / "pam.d" / "jit-server.off")
    (answer,) = ask(etc, ("alice", "right horse"))
    assert answer.startswith("Unavailable: /etc/pam.d/jit-server is missing")
