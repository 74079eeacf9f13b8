"""What a host says of a login, as the server takes it: doubt makes it unknown (S6, S11)."""

from __future__ import annotations

import pytest

from jit_protos.v1 import common_pb2, host_pb2
from jit_server.domain.policy.circumstances import Login, LoginKind, address
from jit_server.rpc import host_wire


@pytest.mark.parametrize(
    ("told", "taken"),
    [
        (None, Login()),
        (host_pb2.Login(), Login()),
        (host_pb2.Login(kind="unknown", source="10.1.2.3", terminal=True), Login()),
        (host_pb2.Login(kind="SSH", source="10.1.2.3"), Login()),
        (host_pb2.Login(kind="root", terminal=True), Login()),
        (host_pb2.Login(kind="ssh", source="office", terminal=True), Login()),
        (host_pb2.Login(kind="ssh", source="10.1.2.3/8", terminal=True), Login()),
        (host_pb2.Login(kind="ssh", source="10.1.2.3\n", terminal=True), Login()),
        (host_pb2.Login(kind="ssh", source="10.1.2.3"), Login(LoginKind.SSH, address("10.1.2.3"))),
        (host_pb2.Login(kind="ssh", source="::ffff:10.1.2.3"), Login(LoginKind.SSH, address("10.1.2.3"))),
        (host_pb2.Login(kind="ssh", source="fe80::1%eth0"), Login(LoginKind.SSH, address("fe80::1"))),
        (host_pb2.Login(kind="console", terminal=True), Login(LoginKind.CONSOLE, None, terminal=True)),
    ],
)
def test_a_login_is_taken_as_it_is_told_or_not_at_all(told: host_pb2.Login | None, taken: Login) -> None:
    assert host_wire.login(host_pb2.PlanRequest(login=told)) == taken
    request = host_pb2.CreateRequestRequest(login=told, ask=common_pb2.Ask(argv=["/usr/bin/id"]))
    assert host_wire.new_request(request).login == taken
