"""Put a signed grant in force, or leave no trace of it (S1, S7, REVIEW 2, 5).

The ledger is written before the act; the answer is given once rule and scope are in place.
"""

import contextlib
import sys

from jit_enforcer import accounts, ceiling, ending, tickets, units, verify
from jit_enforcer.errors import Denied, Expired, Replayed, Unsafe, Unsuitable, WrongUser
from jit_enforcer.grant import Grant
from jit_enforcer.host import Host
from jit_enforcer.ledger import Entry


def apply(host: Host, untrusted_envelope: bytes) -> Entry:
    """The entry of the grant, now in force.  Applying the same revision again is harmless.  Raises `Denied`."""
    grant = verify.open_envelope(untrusted_envelope, verify.load_trust(host.paths))
    wall = host.clock.wall_us()
    known = _known(host, grant)
    verify.check_moment(grant, boot=host.boot, wall_us=wall)
    limits = ceiling.load(host.paths)
    if known and known.grant.revision == grant.revision:
        if not host.rules.is_put(known, host.live()):
            host.rules.put(known, host.live())
        host.ensure_scope(known)
        return known
    ceiling.check(grant, limits, wall)
    run_as = accounts.check(grant)
    if problems := host.probe.problems():
        raise Unsuitable(problems[0])
    now = host.clock.boot_us()
    name = f"jit-{grant.grant}-r{grant.revision}" if known else f"jit-{grant.grant}"
    entry = Entry(
        grant=grant,
        run_as=run_as,
        envelope=untrusted_envelope,
        state="live",
        reason="",
        scope=host.scopes.place(f"{name}.scope", grant.uid),
        since=known.since if known else now,
        deadline=now + grant.remaining_s * 1_000_000,
        standing=known.standing if known else (),
        used=known.used if known else False,
        sessions=known.sessions if known else (),
    )
    host.ledger.save(entry)
    try:
        _enforce(host, entry, known)
    except Exception:  # a fault of ours must not leave half a grant either
        _take_back(host, entry, known)
        raise
    if known is None:
        _start_footprint(host, entry)
    return entry


def _known(host: Host, grant: Grant) -> Entry | None:
    """The live entry of an older or the same revision.  Raises `Expired`, `Replayed` or `WrongUser`."""
    if grant.grant in host.ledger.spoilt:
        raise Replayed(f"{grant.grant}: its ledger entry cannot be read")
    known = host.ledger.entries.get(grant.grant)
    if known is None:
        return None
    if (known.grant.uid, known.grant.user) != (grant.uid, grant.user):
        raise WrongUser(f"{grant.grant} was for another user")
    newer = grant.revision > known.grant.revision
    if not newer and grant != known.grant:
        raise Replayed(f"{grant.grant}: revision {known.grant.revision} came before")
    if known.state == "live":
        if host.left_us(known) <= 0:
            raise Expired(f"{grant.grant} is over")
        return known
    if newer and known.state == "ended" and known.reason == "rebooted":
        return None  # signed again for this boot, as SPEC 5.2 has it
    raise Replayed(f"{grant.grant} has ended")


def _enforce(host: Host, entry: Entry, old: Entry | None) -> None:
    """Rule, then scope; the processes of an older revision move over without a gap, and last its timer goes."""
    host.rules.put(entry, host.live())
    tickets.remove(host.paths, entry.grant.user, entry.grant.uid)
    host.rules.settle(entry.grant.uid, entry.grant.user, host.live())
    host.scopes.start(entry.scope, left_us=host.left_us(entry), not_after=entry.grant.not_after)
    if old:
        host.scopes.move(old.scope, entry.scope)
        _stop_timer(host, old)


def _take_back(host: Host, entry: Entry, old: Entry | None) -> None:
    """Undo a half-done apply: back to the older revision, or to nothing."""
    if old is None:
        if ending.undo(host, entry):
            host.ledger.forget(entry.grant.grant)
        return
    try:
        host.ledger.save(old)
        host.rules.put(old, host.live())
        host.rules.settle(old.grant.uid, old.grant.user, host.live())
        host.ensure_scope(old)
        host.scopes.move(entry.scope, old.scope)
    except Denied:
        with contextlib.suppress(Denied):  # the end below is tried again until it holds
            host.scopes.kill(entry.scope)
        ending.end(host, [old], "revoked")
    _stop_timer(host, entry)


def _stop_timer(host: Host, entry: Entry) -> None:
    with contextlib.suppress(Unsafe):  # it fires once, into nothing
        host.scopes.stop_timer(entry.scope)


def _start_footprint(host: Host, entry: Entry) -> None:
    """As soon as there is a grant for certain, so that it looks before the first command."""
    try:
        units.start_footprint(host.paths.bus, entry.grant.grant, when="before")
    except Unsafe as e:
        sys.stderr.write(f"Footprint before a grant: {e}\n")
