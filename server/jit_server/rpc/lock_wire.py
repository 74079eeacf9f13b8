"""Locks and alerts as messages."""

from __future__ import annotations

from jit_protos.v1 import people_pb2
from jit_server.domain.alert import Alert
from jit_server.domain.lock import Lock


def lock_message(lock: Lock) -> people_pb2.Lock:
    return people_pb2.Lock(
        lock_id=lock.lock_id,
        kind=lock.kind.value,
        target=lock.target,
        reason=lock.reason,
        created_by=lock.created_by,
        created_at=lock.created_at,
        expires_at=lock.expires_at,
        lifted_at=lock.lifted_at,
        lifted_by=lock.lifted_by,
        grants_ended=lock.grants_ended,
        requests_cancelled=lock.requests_cancelled,
    )


def alert_message(alert: Alert) -> people_pb2.Alert:
    return people_pb2.Alert(
        kind=alert.kind.value,
        since=alert.since,
        host=alert.host,
        user=alert.user,
        role=alert.role,
        grant_id=alert.grant_id,
        message=alert.message,
    )
