"""Hosts as people choose them (SPEC 9.7): by labels, all of which have to hold, and by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jit_server.domain.identity import Host, check_host_name, check_labels
from jit_server.domain.policy.model import LabelTest
from jit_server.errors import Invalid, NotFound

MAX_CHOICES = 100


@dataclass(frozen=True, slots=True)
class HostChoice:
    """Hosts that pass all tests of labels, if there is one, and those of these names."""

    tests: tuple[tuple[str, LabelTest], ...]
    names: frozenset[str]

    def fits(self, host: Host) -> bool:
        if host.name in self.names:
            return True
        return bool(self.tests) and all(test.holds(host.labels.get(key)) for key, test in self.tests)

    def of(self, hosts: Iterable[Host]) -> tuple[Host, ...]:
        """Those of the hosts that were chosen, without removed ones; raises `NotFound` for a name of none."""
        chosen = tuple(host for host in hosts if not host.removed and self.fits(host))
        missing = self.names - {host.name for host in chosen}
        if missing:
            raise NotFound(f"no host {min(missing)!a}", hint="see: jitctl hosts ls")
        return chosen


def choice(untrusted_texts: Sequence[str]) -> HostChoice:
    """Read `key=value`, `key!=value` and names; raises `Invalid` for what is neither, or over 100 of them."""
    if len(untrusted_texts) > MAX_CHOICES:
        raise Invalid(f"{len(untrusted_texts)} hosts or labels; the limit is {MAX_CHOICES}")
    tests: list[tuple[str, LabelTest]] = []
    names: set[str] = set()
    for text in untrusted_texts:
        key, equals, value = text.partition("=")
        if not equals:
            names.add(check_host_name(text))
            continue
        key, negated = key.removesuffix("!"), key.endswith("!")
        check_labels({key: value})
        tests.append((key, LabelTest(frozenset({value}), negated)))
    return HostChoice(tuple(tests), frozenset(names))
