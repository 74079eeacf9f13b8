"""The named failpoints: before and after each durable step of enforcer, agent and server (S2, S6, S7).

A table and nothing else.  The programs know nothing of it: `inject` wraps the functions that are named here on a lab
host.  Where the end of one step is the beginning of the next, the instant has one name only.
"""

from dataclasses import dataclass
from typing import Final, Literal

Program = Literal["enforcer", "agent", "server"]
When = Literal["before", "after"]
During = Literal["apply", "admit", "extend", "end", "revoke", "start"]
"""What a grant is going through as the step is taken: it comes to its host, a sudo asks to start, it is extended, its
time is over, it is revoked, or the enforcer starts while it lives."""


@dataclass(frozen=True, slots=True)
class Failpoint:
    """An instant; `function` is `module:qualified name`, counted only while `within` is running if that is given.

    One server has many hosts: `about` are words that the arguments must have, with {host}, {request} and {grant}.
    """

    program: Program
    step: str
    when: When
    function: str
    within: str
    about: str
    during: During

    @property
    def name(self) -> str:
        """What cases and orders call it."""
        return f"{self.program}.{self.step}.{self.when}"


def _of(
    program: Program,
    step: str,
    during: During,
    function: str,
    *,
    within: str = "",
    about: str = "",
    only: When | None = None,
) -> tuple[Failpoint, ...]:
    whens: tuple[When, ...] = ("before", "after") if only is None else (only,)
    return tuple(Failpoint(program, step, when, function, within, about, during) for when in whens)


_SAVE: Final = "jit_enforcer.ledger:Ledger.save"
_INSTALL: Final = "jit_enforcer.dropin:install"
_REMOVE: Final = "jit_enforcer.dropin:remove"
_COMMIT: Final = "jit_server.adapters.sql.store:SqlStore._commit"
_APPROVE: Final = "jit_server.services.decisions:DecisionService.approve"
_SERVICES: Final = "jit_server.services"
_DELIVERY: Final = f"{_SERVICES}.delivery:DeliveryService"

FAILPOINTS: Final = (
    # A grant comes to its host: ledger, Defaults and rule, scope and timer of PID 1, answer.
    *_of("enforcer", "ledger-draft", "apply", "os:fsync", within=_SAVE),
    *_of("enforcer", "ledger-rename", "apply", "os:rename", within=_SAVE, only="after"),
    *_of("enforcer", "ledger-save", "apply", _SAVE, only="after"),
    *_of("enforcer", "rule-draft", "apply", "os:fsync", within=_INSTALL),
    *_of("enforcer", "rule-rename", "apply", "os:rename", within=_INSTALL),
    *_of("enforcer", "rule-put", "apply", "jit_enforcer.rules:Rules.put", only="after"),
    *_of("enforcer", "tickets-removed", "apply", "jit_enforcer.tickets:remove", only="after"),
    *_of("enforcer", "scope-start", "apply", "jit_enforcer.units:start"),
    *_of("enforcer", "marker", "apply", "jit_enforcer.rules:Rules.settle", only="after"),
    *_of("enforcer", "apply", "apply", "jit_enforcer.applying:apply", only="after"),
    # A sudo asks to start.
    *_of("enforcer", "scope-admit", "admit", "jit_enforcer.scope:Scopes.admit"),
    *_of("enforcer", "admit", "admit", "jit_enforcer.admission:admit", only="after"),
    # It is extended: the programs move over into a scope with the new end.
    *_of("enforcer", "scope-move", "extend", "jit_enforcer.scope:Scopes.move"),
    *_of("enforcer", "old-timer", "extend", "jit_enforcer.scope:Scopes.stop_timer", only="after"),
    # The last seconds: programs are told to end, then ended.
    *_of("enforcer", "hang-up", "end", "jit_enforcer.closing:hang_up"),
    *_of("enforcer", "kill-programs", "end", "jit_enforcer.closing:kill_programs"),
    # The time of a grant is over: rule, scope, what slipped past, Defaults, ledger, timer.
    *_of("enforcer", "end-rule-draft", "end", "os:rename", within=_REMOVE, only="before"),
    *_of("enforcer", "end-rule", "end", "jit_enforcer.rules:Rules.take"),
    *_of("enforcer", "end-scope", "end", "jit_enforcer.scope:Scopes.kill"),
    *_of("enforcer", "end-strays", "end", "jit_enforcer.strays:kill"),
    *_of("enforcer", "end-defaults", "end", "jit_enforcer.rules:Rules.settle"),
    *_of("enforcer", "end-ledger", "end", "jit_enforcer.ledger:Ledger.save_end"),
    *_of("enforcer", "end-timer", "end", "jit_enforcer.scope:Scopes.stop_timer"),
    # The enforcer starts while a grant lives.
    *_of("enforcer", "reconcile", "start", "jit_enforcer.reconciling:reconcile"),
    *_of("enforcer", "reconcile-foreign", "start", "jit_enforcer.rules:Rules.take_foreign", only="after"),
    # The host's desired state changes; what became of it is told once, and kept until the server has it.
    *_of("agent", "settle", "apply", "jit_agent.desired:settle"),
    *_of("agent", "applied-stored", "apply", "jit_agent.spool:Spool.append_outcome"),
    *_of("agent", "acknowledged", "apply", "jit_agent.spool:Spool.acknowledge"),
    *_of("agent", "session-opened", "admit", "jit_agent.segments:Segments.open"),
    *_of("agent", "session-stored", "admit", "jit_agent.spool:Spool.append_session"),
    *_of("agent", "chunk-sealed", "admit", "jit_agent.chunks:Chunks.write_all"),
    *_of("agent", "chunk-kept", "admit", "jit_agent.chunks:Chunks.keep"),
    *_of("agent", "session-closed", "end", "jit_agent.spool:Spool.close_session"),
    *_of("agent", "end-stored", "end", "jit_agent.spool:Spool.append_outcome"),
    *_of("agent", "end-told-enforcer", "end", "jit_agent.enforcer_link:EnforcerLink.reported"),
    *_of("agent", "revocation-synced", "revoke", "jit_agent.enforcer_link:EnforcerLink.sync"),
    # Approval and grant, the signature, what the host reports, a revocation: each is one commit.
    *_of("server", "approve", "apply", _COMMIT, within=_APPROVE, about="{request}"),
    *_of("server", "sign", "apply", _COMMIT, within=f"{_DELIVERY}.desired_state", about="{host}"),
    *_of("server", "send", "apply", "jit_server.rpc.host_wire:desired_message", about="{host}", only="after"),
    *_of("server", "active", "apply", _COMMIT, within=f"{_DELIVERY}.record_reports", about="{host} Applied"),
    *_of(
        "server", "extend", "extend", _COMMIT, within=f"{_SERVICES}.extending:ExtensionService.extend", about="{grant}"
    ),
    *_of("server", "revoke", "revoke", _COMMIT, within=f"{_SERVICES}.grants:GrantService.revoke", about="{grant}"),
    *_of("server", "ended", "end", _COMMIT, within=f"{_DELIVERY}.record_reports", about="{host} Ended"),
    *_of("server", "expire", "end", f"{_SERVICES}.grants:GrantService.expire"),
)
