"""Numbers of hosts that no client could show: one such report must not hide all others of a list (S11)."""

from __future__ import annotations

from typing import Any

import pytest

from jit_protos.v1 import common_pb2, host_pb2
from jit_server.domain.report import SessionEnded, Unfit
from jit_server.errors import Invalid
from jit_server.rpc import host_wire, report_wire

LAST = 2**53
SESSION = "ses-0000000000000001"


def ended(at: int = 1, **changes: Any) -> host_pb2.Report:
    return host_pb2.Report(sequence=1, at=at, session_ended=host_pb2.SessionEnded(session_id=SESSION, **changes))


@pytest.mark.parametrize("field", ["run_time_us", "output_bytes", "input_bytes"])
def test_numbers_of_a_session_are_taken_up_to_what_every_client_reads(field: str) -> None:
    assert isinstance(report_wire.parsed(ended(**{field: LAST})).body, SessionEnded)
    assert isinstance(report_wire.parsed(ended(**{field: LAST + 1})).body, Unfit)


def test_a_time_beyond_every_calendar_is_no_time() -> None:
    assert isinstance(report_wire.parsed(ended(LAST)).body, SessionEnded)
    for at in (0, -1, LAST + 1, 2**62):
        assert isinstance(report_wire.parsed(ended(at)).body, Unfit)


@pytest.mark.parametrize("duration_s", [-1, LAST, 2**62])
def test_a_duration_beyond_every_calendar_is_none(duration_s: int) -> None:
    """Else an expression of the policy that looks at it could not even be asked."""
    asked = common_pb2.Ask(argv=["/usr/bin/id"])
    with pytest.raises(Invalid, match="the duration is negative or too long"):
        host_wire.new_request(host_pb2.CreateRequestRequest(ask=asked, duration_s=duration_s))
    with pytest.raises(Invalid, match="the duration is negative or too long"):
        host_wire.new_extension(host_pb2.ExtendGrantRequest(grant_id="gnt-1", duration_s=duration_s))
    assert host_wire.new_request(host_pb2.CreateRequestRequest(ask=asked, duration_s=3_600)).duration_s == 3_600
