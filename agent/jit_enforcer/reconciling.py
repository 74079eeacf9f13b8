"""At a start: the ledger is the truth of this host (S1, DESIGN 5).

What it does not know as live is taken away; what it knows as live stands as rendered, or is ended.
"""

import contextlib
import time

from jit_enforcer import ending
from jit_enforcer.errors import Denied
from jit_enforcer.host import Host
from jit_enforcer.ledger import Entry
from jit_enforcer.units import Scope


def reconcile(host: Host) -> None:
    """Raises `Denied` if something that must go does not."""
    ending.end(host, [entry for entry in host.unfinished() if entry.grant.boot != host.boot], "rebooted")
    ending.tick(host)
    for entry in list(host.ledger.entries.values()):
        if entry.reported and entry.grant.boot != host.boot:
            host.ledger.forget(entry.grant.grant)
    host.rules.take_foreign(host.live())
    live = {entry.grant.grant: entry.scope for entry in host.live()}
    former = [scope for scope in host.scopes.found() if scope not in live.values()]
    for scope in former:
        if scope.grant not in live:
            host.scopes.kill(scope)
    host.rules.sweep(older_than_s=0, now_s=time.time())
    for entry in host.live():
        _take_up(host, entry)
    for scope in former:
        _take_over(host, scope)


def _take_over(host: Host, scope: Scope) -> None:
    """A crash in the middle of an extension left programs where they are not meant to be any more."""
    heir = next((entry for entry in host.live() if entry.grant.grant == scope.grant), None)
    if heir:
        with contextlib.suppress(Denied):  # what cannot be moved has no right to be
            host.scopes.move(scope, heir.scope)
    host.scopes.kill(scope)


def _take_up(host: Host, entry: Entry) -> None:
    try:
        if not host.rules.is_put(entry, host.live()):
            host.rules.put(entry, host.live())
        host.rules.settle(entry.grant.uid, entry.grant.user, host.live())
    except Denied:
        ending.end(host, [entry], "revoked")
        return
    try:
        host.ensure_scope(entry)
    except Denied:
        return  # the gate makes it before it lets anything start
