"""How what runs in a call ends: what was begun is finished, though the caller has gone, and nothing is left running.

A peer can cancel its call at any moment.  A database driver that is interrupted between two statements leaves its
transaction, and with it the lock, to nobody; so no cancellation ever reaches into a service.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def finished(work: Awaitable[T]) -> T:
    """Await the work to its end; a cancellation that comes meanwhile is raised afterwards."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        # Retrieved, so that it is not reported as forgotten: nobody is left to be told.
        if not task.cancelled():
            task.exception()
        raise cancelled
    return task.result()


async def first_to_end(*works: Coroutine[Any, Any, None]) -> None:
    """Run all until one returns or raises; then stop the others, and raise what that one did."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
