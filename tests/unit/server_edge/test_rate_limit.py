"""Calls without a certificate are counted by address before any password is looked at."""

from __future__ import annotations

import pytest

from jit_server.rpc.rate_limit import BURST, MAX_ADDRESSES, PER_SECOND, RateLimiter, address_of


class Stopwatch:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_a_burst_is_let_in_then_a_steady_trickle() -> None:
    time = Stopwatch()
    limiter = RateLimiter(time)
    assert [limiter.admit("192.0.2.1") for _ in range(BURST + 1)] == [True] * BURST + [False]
    assert limiter.admit("192.0.2.2")
    time.seconds += 1 / PER_SECOND
    assert [limiter.admit("192.0.2.1") for _ in range(2)] == [True, False]
    time.seconds += 3600
    assert [limiter.admit("192.0.2.1") for _ in range(BURST + 1)] == [True] * BURST + [False]


def test_many_addresses_do_not_fill_the_memory_and_lock_nobody_out() -> None:
    limiter = RateLimiter(Stopwatch())
    for number in range(MAX_ADDRESSES + 500):
        assert limiter.admit(f"address {number}")
    assert len(limiter._buckets) == MAX_ADDRESSES


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:192.0.2.1:4711", "192.0.2.1"),
        ("ipv6:%5B2001:db8::1%5D:4711", "2001:db8::/64"),
        ("ipv6:[2001:db8::ffff]:1", "2001:db8::/64"),
        ("ipv6:%5B::ffff:192.0.2.1%5D:5", "192.0.2.1"),
        ("unix:", "unknown"),
        ("", "unknown"),
    ],
)
def test_the_address_of_a_peer_is_without_its_port(peer: str, address: str) -> None:
    assert address_of(peer) == address
