"""Hints between the tasks of one process."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import contextmanager


class _Subscription:
    """Remembers topics, not messages, so a slow reader costs no memory."""

    def __init__(self) -> None:
        self._topics: set[str] = set()
        self._woken = asyncio.Event()

    def mark(self, topic: str) -> None:
        self._topics.add(topic)
        self._woken.set()

    async def wait(self) -> frozenset[str]:
        await self._woken.wait()
        topics = frozenset(self._topics)
        self._topics.clear()
        self._woken.clear()
        return topics


class InProcessChanges:
    """`Changes` within one event loop."""

    def __init__(self) -> None:
        self._subscriptions: defaultdict[str, set[_Subscription]] = defaultdict(set)

    def publish(self, topics: Collection[str]) -> None:
        for topic in topics:
            for subscription in self._subscriptions.get(topic, ()):
                subscription.mark(topic)

    @contextmanager
    def subscribe(self, topics: Collection[str]) -> Iterator[_Subscription]:
        subscription = _Subscription()
        for topic in topics:
            self._subscriptions[topic].add(subscription)
        try:
            yield subscription
        finally:
            for topic in topics:
                self._subscriptions[topic].discard(subscription)
                if not self._subscriptions[topic]:
                    del self._subscriptions[topic]
