"""`before-GRANT` and `after-GRANT`: one run of jit-footprint@.service (SPEC 3.6).

Runs come one after the other.  Who had to wait takes over the look that was taken meanwhile, if all of it is younger
than the wait: fifty grants that end in one second cost the host two looks, not fifty.
"""

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from jit_footprint import looking
from jit_footprint.comparing import compare
from jit_footprint.looking import Host
from jit_footprint.snapshot import Baseline, Snapshot
from jit_footprint.store import Store

_FOLDER: Final = Path("/var/lib/jit-footprint")
_INSTANCE: Final = re.compile(r"(before|after)-(gnt-[0-9a-hjkmnp-tv-z]{16})")
_USAGE: Final = "usage: jit-footprint before-GRANT | after-GRANT, with the host's /proc/1/mountinfo on standard input\n"


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status: 0 done, 1 not done, 2 usage."""
    words = list(sys.argv[1:] if argv is None else argv)
    instance = _INSTANCE.fullmatch(words[0]) if len(words) == 1 else None
    if instance is None or sys.stdin.isatty():
        sys.stderr.write(_USAGE)
        return 2
    os.umask(0o077)
    try:
        host = Host.described_by(sys.stdin.buffer.read().decode("utf-8", "surrogateescape"))
        if not host.mounts.tops:
            sys.stderr.write("jit-footprint: no mount table on standard input; it comes from jit-footprint@.service\n")
            return 2
        run = before if instance[1] == "before" else after
        run(host, Store(_FOLDER), instance[2])
    except OSError as e:
        sys.stderr.write(f"jit-footprint: {instance[0]} was not done: {e}\n")
        return 1
    return 0


def before(host: Host, store: Store, grant: str) -> None:
    """Take the grant's baseline, once; a run that was cut short is completed.  Raises `OSError`.

    A grant that ended with a reboot and was signed again for the new boot is looked at anew.
    """
    arrived = looking.boot_time_us()
    with store.alone(grant):
        baseline = store.baseline(grant)
        if baseline and baseline.snapshot and baseline.snapshot.finished:
            return
        if baseline is None:
            # Durable before anything else: it tells what is the grant's doing even if nothing more is ever written.
            now = looking.wall_time_us()
            baseline = Baseline(grant, min(now, host.rule_written(grant) or now), None)
            store.save_baseline(baseline)
        with store.alone():
            seen = _shared(host, store, arrived)
            if seen is None:
                key = store.key()
                seen = looking.look(host, key)
                if baseline.snapshot is None:
                    # Durable before the walk, which may take minutes.
                    baseline = replace(baseline, snapshot=seen)
                    store.save_baseline(baseline)
                seen = looking.walk(host, key, seen)
                store.save_latest(seen)
        first = baseline.snapshot
        usable = first is not None and first.key == seen.key
        store.save_baseline(replace(baseline, snapshot=seen.after(first) if first and usable else seen))


def after(host: Host, store: Store, grant: str) -> None:
    """Compare and leave the footprint, once for each baseline.  Raises `OSError`."""
    arrived = looking.boot_time_us()
    with store.alone(grant):
        baseline = store.baseline(grant)
        if baseline is None:
            if store.is_compared(grant):
                return
            baseline = Baseline(grant, looking.wall_time_us(), None)
        with store.alone():
            seen = _shared(host, store, arrived)
            if seen is None:
                key = store.key()
                seen = looking.walk(host, key, looking.look(host, key))
                store.save_latest(seen)
            store.prune()
        if baseline.snapshot is not None and baseline.snapshot.key != seen.key:
            baseline = replace(baseline, snapshot=None)
        store.save_footprint(compare(baseline, seen))


def _shared(host: Host, store: Store, arrived: int) -> Snapshot | None:
    """The latest look, if it began after this run did, in this boot."""
    latest = store.latest()
    return latest if latest and latest.boot == host.boot() and latest.boot_us >= arrived else None
