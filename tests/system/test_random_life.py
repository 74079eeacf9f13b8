"""Hundreds of grants and faults on several hosts, in an order nobody thought of, against a model (S1, S2, S4, S6, S10).

Hypothesis chooses the steps.  After each one, what sudo lets through, the rules and scopes that are there and the
programs that run must be among what the model allows; at quiet points server and hosts must agree, and every grant that
is over must be so in proof.  The same steps again: pytest --hypothesis-seed=N; a longer run: JIT_RANDOM_S=3600.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import time
import traceback
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase
from hypothesis import core as hypothesis_core
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from jit_testing import random_lab
from jit_testing.lab import Lab
from jit_testing.random_lab import HOSTS, PEOPLE, NotInTime, RandomLab
from jit_testing.random_life import RandomLife, Violation

LASTS_S = float(os.environ.get("JIT_RANDOM_S", "150"))

_people = st.sampled_from(PEOPLE)
_hosts = st.sampled_from(HOSTS)
_short = st.integers(5, 20)
_which = st.integers(0, 1000)
_locks = st.sampled_from([*(("user", one) for one in PEOPLE), ("host", HOSTS[1]), ("role", "at-once")])
# How often, which step of `RandomLife`, with which arguments.
_TABLE: list[tuple[int, str, list[st.SearchStrategy[Any]]]] = [
    # The first is what Hypothesis begins with: a whole life of it.
    (1, "quiet", []),
    (20, "ask", [_people, _hosts, st.sampled_from(["at-once", "at-once-id"]), _short | st.just(600)]),
    (4, "ask_carol", [_people, _hosts, _short]),
    (4, "approve", [_which]),
    (4, "extend", [_which, _short]),
    (4, "revoke", [_which]),
    (3, "drop", [_people, _hosts]),
    (1, "disable", [_people]),
    (2, "enable", []),
    (1, "narrow", [_people]),
    (2, "widen", []),
    (1, "lock", [_locks]),
    (2, "unlock", []),
    (2, "shake", [_hosts, st.sampled_from(["jit-agent", "jit-enforcer"]), st.booleans()]),
    (1, "shake_server", [st.booleans()]),
    (2, "cut", [_hosts, st.sampled_from(["both", "in", "out"])]),
    (3, "heal", [_hosts]),
    (1, "enforcer_dies", [_hosts]),
    (2, "enforcer_returns", [_hosts]),
    (4, "watch", [st.integers(1, 3)]),
]
STEPS = st.sampled_from([row for row in _TABLE for _ in range(row[0])]).flatmap(
    lambda row: st.tuples(st.just(row[1]), st.tuples(*row[2]))
)


class Life(RuleBasedStateMachine):
    """Hypothesis' hand on one life of the lab."""

    world: RandomLab
    ends: float
    lives = grants = 0

    def __init__(self) -> None:
        super().__init__()
        self.violated = False
        self.never_began = self.is_over()
        if not self.never_began:
            type(self).lives += 1
            self.life = RandomLife(self.world, self.lives)

    @classmethod
    def is_over(cls) -> bool:
        """Whether the time of this run is up; nothing is done any more then, for Hypothesis has to draw to its end."""
        return time.monotonic() > cls.ends

    @rule(step=STEPS)
    def step(self, step: tuple[str, tuple[Any, ...]]) -> None:
        if self.is_over():
            return
        name, arguments = step
        with self.watched():
            said = getattr(self.life, name)(*arguments)
        if said is not None:
            self.world.note(f"{name} {' '.join(map(str, arguments))}: {said}")

    @invariant()
    def only_what_may_be(self) -> None:
        if self.is_over():
            return
        with self.watched():
            self.life.only_what_may_be()

    def teardown(self) -> None:
        """However a life ends, this is called; the last one too is brought to its proof."""
        if self.never_began:
            return
        type(self).grants += len(self.life.rights.all)
        if not self.violated:
            with self.watched():
                self.life.end()

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Raises `Violation` for any failure: a step that fails was not meant to."""
        try:
            yield
        except Violation:
            self.violated = True
            raise
        except NotInTime as e:
            self.violated = True
            raise Violation(str(e)) from e
        except Exception as e:
            self.violated = True
            raise Violation("".join(traceback.format_exception(e))) from e


@pytest.mark.timeout(LASTS_S + 1200)
def test_whatever_happens_hosts_allow_only_what_is_granted(lab: Lab) -> None:
    """A violation is told with the seed and every step of the life that led there."""
    with random_lab.opened(lab) as world:
        live(world)


def live(world: RandomLab) -> None:
    seed = hypothesis_core.global_force_seed
    seed = random.SystemRandom().randrange(1 << 32) if seed is None else seed

    class Here(Life):
        pass

    Here.world, Here.ends = world, time.monotonic() + LASTS_S
    # Of ten examples or more Hypothesis would spend some on being simple.
    steps = hypothesis.settings(
        max_examples=9, stateful_step_count=60, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    try:
        for number in itertools.count():
            run_state_machine_as_test(hypothesis.seed(seed + number)(Here), settings=steps)
            if Here.is_over():
                break
    except Violation as violation:
        so_far = "\n".join(world.history)
        pytest.fail(f"{violation}\nthe same steps again: --hypothesis-seed={seed}\n{so_far}", pytrace=False)
    print(f"{Here.grants} grants in {Here.lives} lives, seed {seed}")
    assert Here.grants > min(20, LASTS_S / 10)
