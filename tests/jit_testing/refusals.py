"""Calls that must be refused."""

from __future__ import annotations

from collections.abc import Awaitable

import grpc.aio


async def refused(call: Awaitable[object]) -> grpc.aio.AioRpcError:
    """The error the call ends with; a call that succeeds is a failure."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        return error
    raise AssertionError(f"not refused: {answer}")
