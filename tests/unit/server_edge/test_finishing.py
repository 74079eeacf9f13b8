"""A caller that goes away does not interrupt what was begun for it."""

from __future__ import annotations

import asyncio

import pytest

from jit_server.rpc.finishing import finished


class Work:
    """Something that takes until it is told to end."""

    def __init__(self) -> None:
        self.begun, self.end, self.done = asyncio.Event(), asyncio.Event(), False

    async def __call__(self) -> str:
        self.begun.set()
        await self.end.wait()
        self.done = True
        return "result"


async def test_work_is_finished_before_a_cancellation_is_told() -> None:
    work = Work()
    caller = asyncio.create_task(finished(work()))
    await work.begun.wait()
    for _ in range(3):
        caller.cancel()
        await asyncio.sleep(0)
    assert not caller.done()
    work.end.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert work.done


async def test_without_a_cancellation_the_result_or_the_error_comes_through() -> None:
    async def fail() -> None:
        raise KeyError("x")

    work = Work()
    work.end.set()
    assert await finished(work()) == "result"
    with pytest.raises(KeyError):
        await finished(fail())


async def test_a_time_limit_ends_the_wait_but_not_the_work() -> None:
    work = Work()
    asyncio.get_running_loop().call_later(0.01, work.end.set)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await finished(work())
    assert work.done
