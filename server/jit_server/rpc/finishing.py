"""What was begun is finished, though the caller has gone.

A peer can cancel its call at any moment.  A database driver that is interrupted between two statements leaves its
transaction, and with it the lock, to nobody; so no cancellation ever reaches into a service.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def finished(work: Awaitable[T]) -> T:
    """Await the work to its end; a cancellation that comes meanwhile is raised afterwards."""
    return await work
