"""What jit costs on a booted host, as ratios against plain sudo in the same run, and how quick it begins and ends.

Prints the machine and a table; writes build/bench.json and build/bench-machine.json.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[0] = str(ROOT / "tests")

from bench import crowd, dynmods, ends, idle, machine, policy, recording, rows, sudo_cost, usable  # noqa: E402
from jit_testing import lab as labs  # noqa: E402
from jit_testing.remote import Hands  # noqa: E402
from lab import lifecycle  # noqa: E402
from lab.places import Places  # noqa: E402
from lab.process import LabError  # noqa: E402

PARTS = ("policy", "idle", "sudo", "usable", "ends", "record")
WITHOUT_LAB = {"policy"}
HOST = "web1"


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status: 0, or 1 if something could not be measured; what could be is told all the same."""
    wanted = _parser().parse_args(argv)
    wanted.only = wanted.only or PARTS
    measured: list[rows.Row] = []
    try:
        if "policy" in wanted.only:
            _take(policy.measure(wanted.decisions), measured)
        if not set(wanted.only) <= WITHOUT_LAB:
            _on_a_lab(wanted, measured)
    except (LabError, rows.Unmeasurable) as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 1
    finally:
        print(f"\n{rows.show(measured)}")
        rows.write(measured, ROOT / "build/bench.json")
    return 0


def _on_a_lab(wanted: argparse.Namespace, measured: list[rows.Row]) -> None:
    with _lab(wanted) as lab:
        facts = machine.describe(lab)
        machine.write(facts, ROOT / "build/bench-machine.json")
        width = max(map(len, facts))
        print("\n".join(f"{name:{width}}  {text}" for name, text in facts.items()), flush=True)
        _take(_measure(lab, wanted), measured)


def _take(found: Iterator[rows.Row], measured: list[rows.Row]) -> None:
    for row in found:
        measured.append(row)
        print(f"{row.name}: {row.p50:.2f} {row.unit}", file=sys.stderr)


@contextlib.contextmanager
def _lab(wanted: argparse.Namespace) -> Iterator[labs.Lab]:
    if wanted.lab:
        yield labs.Lab(Places(wanted.lab))
        return
    made = labs.up(f"bench-{os.getpid()}", ["server", HOST], wanted.debs or lifecycle.build_packages([12]))
    try:
        yield made
    finally:
        labs.down(made)


def _measure(lab: labs.Lab, wanted: argparse.Namespace) -> Iterator[rows.Row]:
    """Idle first, before anything happened on the host."""
    for part in PARTS:
        if part not in wanted.only or part in WITHOUT_LAB:
            continue
        if part == "idle":
            yield from idle.measure(lab, wanted.idle)
            continue
        with Hands(lab, HOST) as hands:
            if lab.exec(HOST, "id", crowd.PEOPLE[-1]).returncode:
                crowd.assemble(lab, HOST)
            match part:
                case "sudo":
                    yield from _sudo(lab, hands, wanted)
                case "usable":
                    yield from usable.measure(lab, hands, wanted.grants)
                case "ends":
                    yield from ends.measure(lab, hands, wanted.ends)
                case "record":
                    yield from recording.measure(lab, hands, wanted.runs, wanted.waiting)


def _sudo(lab: labs.Lab, hands: Hands, wanted: argparse.Namespace) -> Iterator[rows.Row]:
    yield sudo_cost.moves(lab, wanted.runs)
    yield from sudo_cost.measure(lab, hands, wanted.runs)
    if wanted.favordynmods:
        with dynmods.favoured():
            yield sudo_cost.moves(lab, wanted.runs, ", favordynmods")
            yield from sudo_cost.measure(lab, hands, wanted.runs, ", favordynmods")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench", description="Measure jit on a lab host; make bench runs all of it.")
    parser.add_argument("--only", choices=PARTS, action="append", help="this part, more than once for more of them")
    parser.add_argument("--runs", type=int, default=200, help="pairs of commands for each row (default 200)")
    parser.add_argument("--grants", type=int, default=200, help="approvals (default 200)")
    parser.add_argument("--ends", type=int, default=20, help="grants that end, for each row (default 20)")
    parser.add_argument("--decisions", type=int, default=500, help="decisions by a large policy (default 500)")
    parser.add_argument(
        "--idle", type=int, default=int(os.environ.get("IDLE", "60")), help="seconds of doing nothing ($IDLE, or 60)"
    )
    parser.add_argument(
        "--favordynmods", action="store_true", default=os.environ.get("FAVORDYNMODS") == "1",
        help="measure also with the machine's cgroups mounted so ($FAVORDYNMODS=1)",
    )  # fmt: skip
    parser.add_argument(
        "--waiting", type=float, default=float(os.environ.get("WAITING", "1")),
        help="GB of recordings that wait on the host in an outage ($WAITING, or 1)",
    )  # fmt: skip
    parser.add_argument("--lab", help="a lab that is up, with a host named web1 (default: boot one)")
    parser.add_argument("--debs", type=Path, help="folder with the packages for the lab (default: build them)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
