"""Numbers of hosts that no client could show: one such report must not hide all others of a list (S11)."""

from __future__ import annotations

from typing import Any

import pytest

from jit_protos.v1 import host_pb2
from jit_server.domain.report import SessionEnded, Unfit
from jit_server.rpc import report_wire

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
