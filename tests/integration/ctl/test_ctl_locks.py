"""Locks: made in one line, told whole, lifted with a reason."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jit_protos.v1 import people_pb2
from jit_testing.ctl_values import lock, now_us
from jit_testing.fake_ctl_server import FakeServer


@pytest.mark.parametrize(
    ("kind", "target", "said"), [("user", "bob", "bob"), ("host", "web1", "host web1"), ("role", "web", "role web")]
)
def test_a_lock_is_made_and_told_with_what_it_ended(
    alice: Any, server: FakeServer, kind: str, target: str, said: str
) -> None:
    made = alice("lock", kind, target, "-m", "stolen laptop")
    assert (made.status, made.err) == (0, "")
    assert made.out == (
        f"lck-0000000000000001: {said} is locked until it is lifted; 2 grants revoked, 1 request cancelled\n"
    )
    (asked,) = server.asked
    assert (asked.kind, asked.target, asked.reason, asked.duration_s) == (kind, target, "stolen laptop", 0)


def test_a_lock_for_a_time_says_until_when(alice: Any, server: FakeServer) -> None:
    made = alice("lock", "user", "bob", "--for", "1h30m", "-m", "leave")
    assert server.asked[0].duration_s == 5_400
    assert "is locked until 20" in made.out
    assert "(in 1h30m)" in made.out


@pytest.mark.parametrize(
    "arguments",
    [
        ["lock"],
        ["lock", "user", "bob"],
        ["lock", "user", "bob", "-m", " "],
        ["lock", "user", "", "-m", "x"],
        ["lock", "user", "bob", "-m", "x", "--for", "soon"],
        ["lock", "fleet", "all", "-m", "x"],
        ["unlock", "lck-1"],
        ["unlock", "-m", "x"],
    ],
)
def test_what_is_not_said_whole_never_leaves(alice: Any, server: FakeServer, arguments: list[str]) -> None:
    assert alice(*arguments).status == 2
    assert server.asked == []


def test_locks_are_listed_with_whom_why_and_until_when(alice: Any, server: FakeServer) -> None:
    old = lock(1, lifted_at=now_us(), lifted_by="carol")
    past = lock(2, kind="host", target="web1", expires_at=now_us() - 5, lifted_at=now_us() - 5)
    stands = lock(3, kind="role", target="web-admin", expires_at=now_us() + 3_600_000_000)
    forever = lock(4)
    server.locks = {one.lock_id: one for one in (old, past, stands, forever)}
    header, *lines = alice("locks", "ls").out.splitlines()
    assert header.split("\t") == ["ID", "KIND", "TARGET", "REASON", "BY", "SINCE", "UNTIL"]
    assert [line.split("\t")[1:5] for line in lines] == [
        ["user", "bob", "stolen laptop", "carol"],
        ["role", "web-admin", "stolen laptop", "carol"],
    ]
    assert lines[0].endswith("\tlifted")
    every = [line.split("\t")[1] for line in alice("locks", "ls", "--all", "--no-header").out.splitlines()]
    assert every == ["in force", "in force", "its time was up", "lifted by carol"]
    assert alice("locks", "ls", "-o", "name").out.split() == [forever.lock_id, stands.lock_id]
    assert set(json.loads(alice("locks", "ls", "-o", "json").out)[0]) == {
        field.name for field in people_pb2.Lock.DESCRIPTOR.fields
    }


def test_no_lock_is_said_on_stderr(alice: Any) -> None:
    empty = alice("locks", "ls")
    assert (empty.status, empty.out, empty.err) == (0, "", "no locks in force\n")


def test_of_several_locks_to_lift_the_good_ones_are_lifted(alice: Any, server: FakeServer) -> None:
    server.locks = {one.lock_id: one for one in (lock(1), lock(2, lifted_at=now_us()), lock(3))}
    ids = list(server.locks)
    done = alice("unlock", *ids, "-m", "found")
    assert done.status == 7
    assert done.out.splitlines() == [f"{ids[0]}: bob: lifted by alice", f"{ids[2]}: bob: lifted by alice"]
    assert f"jitctl: {ids[1]}: the lock stands no more" in done.err
    assert {asked.reason for asked in server.asked} == {"found"}
    assert alice("unlock", "lck-9", "-m", "x").status == 6
