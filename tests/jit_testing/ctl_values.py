"""Messages as a server sends them to `jitctl`; keywords change what a test is about."""

from __future__ import annotations

import time
from typing import Any

from jit_protos.v1 import common_pb2, people_pb2

PENDING = common_pb2.REQUEST_STATE_PENDING


def now_us() -> int:
    return time.time_ns() // 1000


def request(number: int, **changes: Any) -> common_pb2.Request:
    """A pending request of bob, as a server would send it."""
    made = common_pb2.Request(
        request_id=f"req-{number:016d}",
        user="bob",
        host="web1",
        role="web-operator",
        ask=common_pb2.Ask(argv=["/usr/bin/systemctl", "restart", "nginx.service"], run_as_user="root"),
        reason="nginx hangs",
        ticket="OPS-17",
        duration_s=1800,
        state=PENDING,
        created_at=now_us() - 180_000_000,
        lapses_at=now_us() + 3_600_000_000,
        approvals_needed=1,
        approvers=["alice", "carol"],
        role_commands=["/usr/bin/systemctl restart nginx.service", "/usr/bin/journalctl"],
        mfa_passed=True,
    )
    made.MergeFrom(common_pb2.Request(**changes))
    return made


def grant(number: int, **changes: Any) -> common_pb2.Grant:
    made = common_pb2.Grant(
        grant_id=f"gnt-{number:016d}",
        request_id=f"req-{number:016d}",
        user="bob",
        host="web1",
        role="web-operator",
        run_as_user="root",
        commands=["/usr/bin/systemctl restart nginx.service"],
        state=common_pb2.GRANT_STATE_ACTIVE,
        not_before=now_us(),
        not_after=now_us() + 1_800_000_000,
        reason="nginx hangs",
        approved_by=["alice"],
    )
    made.MergeFrom(common_pb2.Grant(**changes))
    return made


def lock(number: int, **changes: Any) -> people_pb2.Lock:
    """A lock of bob without an end."""
    made = people_pb2.Lock(
        lock_id=f"lck-{number:016d}",
        kind="user",
        target="bob",
        reason="stolen laptop",
        created_by="carol",
        created_at=now_us() - 180_000_000,
    )
    made.MergeFrom(people_pb2.Lock(**changes))
    return made


def alert(kind: str = "end_unconfirmed", **changes: Any) -> people_pb2.Alert:
    made = people_pb2.Alert(
        kind=kind,
        since=now_us() - 180_000_000,
        host="web1",
        user="bob",
        role="web-operator",
        grant_id="gnt-0000000000000001",
        message="web1 has not confirmed the end of the grant of bob",
    )
    made.MergeFrom(people_pb2.Alert(**changes))
    return made
