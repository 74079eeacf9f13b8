"""What the database refuses whoever asks: illegal moves of state (from the tables in `domain/lifecycle.py`), and any
change of the audit log, of a vote, of who and what a request or grant is for, or of what a session ran.

Made anew at each start, so they cannot differ from the tables of the running code.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from sqlalchemy import Connection

from jit_server.domain.lifecycle import GRANT_START, GRANT_TRANSITIONS, LIVE, REQUEST_START, REQUEST_TRANSITIONS
from jit_server.domain.session import SESSION_MOVES

_FIXED = {
    "requests": """
        request_id user_id host_id uid local_name role ask reason ticket duration_s created_at approvals_needed
        role_commands mfa_passed once session starts_at extends login batch_id
    """,
    "grants": """
        grant_id request_id user_id host_id uid local_name role run_as_user run_as_group commands shell record
        not_before reason approved_by once session lease_s required subcommands watch_s retain_s
        directory environment
    """,
    "sessions": "session_id host_id host",
    "policy_changes": """
        change_id files digest base_version proposed_by proposed_at reason why approvals_needed rolled_back_to
    """,
    "batches": "batch_id user_id asked_on created_at wanted",
    "renewals": "renewal_id role user_id asked_at reason line_until lapses_at",
    "recording_chunks": "session_id chunk sha256 size decoded_size start_ns end_ns encoding",
    "locks": """
        lock_id kind target reason created_by created_by_id created_at expires_at grants_ended requests_cancelled
    """,
}
_DESCRIBED = """
    user_id user grant_id request_id role watch_s retain_s standing run_as_user argv command_line command cwd tty
    environment rows columns record started_at
"""
_APPEND_ONLY = (
    "audit_events",
    "decisions",
    "reports",
    "policies",
    "policy_change_decisions",
    "session_commands",
    "eligibility_notices",
)


def install(connection: Connection) -> None:
    """Put the triggers in place of former ones."""
    statements = _postgresql() if connection.dialect.name == "postgresql" else _sqlite()
    for statement in statements:
        connection.exec_driver_sql(statement)


def _rules() -> Iterator[tuple[str, str, str, str]]:
    """Yield table, operation, condition under which it is refused, and what to say."""
    yield "requests", "INSERT", f"NEW.state NOT IN ({_list(REQUEST_START)})", "a request cannot begin in this state"
    yield "grants", "INSERT", f"NEW.state NOT IN ({_list(GRANT_START)})", "a grant cannot begin in this state"
    yield (
        "requests",
        "UPDATE",
        _illegal({(old, new) for (old, _), new in REQUEST_TRANSITIONS.items()}),
        "illegal move of a request",
    )
    yield (
        "grants",
        "UPDATE",
        _illegal({(old, new) for (old, _), new in GRANT_TRANSITIONS.items()}),
        "illegal move of a grant",
    )
    yield "sessions", "UPDATE", _illegal(SESSION_MOVES), "illegal move of a session"
    described = " OR ".join(f"NEW.{column} <> OLD.{column}" for column in _DESCRIBED.split())
    yield (
        "sessions",
        "UPDATE",
        f"OLD.started_at <> 0 AND ({described})",
        "what a session ran is fixed once it has started",
    )
    yield "sessions", "UPDATE", "NEW.chunks < OLD.chunks", "a recording only grows"
    yield "recording_chunks", "UPDATE", "OLD.deleted AND NOT NEW.deleted", "what is deleted stays deleted"
    yield "locks", "UPDATE", "OLD.lifted_at <> 0", "a lock is lifted once"
    yield "renewals", "INSERT", "NEW.state <> 'pending' OR NEW.gone_at <> 0", "a renewal begins as pending"
    decided = "NEW.state <> OLD.state OR NEW.until <> OLD.until OR NEW.decided_by <> OLD.decided_by"
    yield "renewals", "UPDATE", f"OLD.state <> 'pending' AND ({decided})", "a renewal is decided once"
    yield "renewals", "UPDATE", "OLD.gone_at <> 0", "a renewal ends once"
    yield "policy_changes", "INSERT", "NEW.state <> 'pending'", "a change of the policy begins as pending"
    yield "policy_changes", "UPDATE", "OLD.state <> 'pending'", "a change of the policy is decided once"
    lives_on = f"OLD.state IN ({_list(LIVE)}) AND NEW.state = OLD.state"
    longer = f"NEW.not_after > OLD.not_after AND NEW.extensions = OLD.extensions + 1 AND {lives_on}"
    taken_back = f"NEW.not_after = OLD.agreed_until AND NEW.extensions = OLD.extensions AND {lives_on}"
    yield (
        "grants",
        "UPDATE",
        f"(NEW.not_after <> OLD.not_after OR NEW.extensions <> OLD.extensions) AND NOT ({longer} OR {taken_back})",
        "the end of a grant moves only later, or back to what its host agreed to, and only while it lives",
    )
    for table, columns in _FIXED.items():
        changed = " OR ".join(f"NEW.{column} <> OLD.{column}" for column in columns.split())
        yield table, "UPDATE", changed, f"what {table} are for is fixed"
        yield table, "DELETE", "1 = 1", f"{table} are never deleted"
    for table in _APPEND_ONLY:
        yield table, "UPDATE", "1 = 1", f"{table} are append-only"
        yield table, "DELETE", "1 = 1", f"{table} are append-only"
    yield "audit_counter", "UPDATE", "NEW.last < OLD.last", "the order of events only grows"
    yield "audit_counter", "DELETE", "1 = 1", "the order of events only grows"


def _illegal(moves: Collection[tuple[str, str]]) -> str:
    legal = " OR ".join(f"(OLD.state = '{old}' AND NEW.state = '{new}')" for old, new in sorted(moves))
    return f"NEW.state <> OLD.state AND NOT ({legal})"


def _list(states: Collection[str]) -> str:
    return ", ".join(f"'{state}'" for state in sorted(states))


def _sqlite() -> Iterator[str]:
    for number, (table, operation, condition, text) in enumerate(_rules(), 1):
        name = f"jit_{number}_{table}_{operation.lower()}"
        yield f"DROP TRIGGER IF EXISTS {name}"
        yield (
            f"CREATE TRIGGER {name} BEFORE {operation} ON {table} WHEN {condition} "
            f"BEGIN SELECT RAISE(ABORT, '{text}'); END"
        )


def _postgresql() -> Iterator[str]:
    for number, (table, operation, condition, text) in enumerate(_rules(), 1):
        name = f"jit_{number}_{table}_{operation.lower()}"
        yield (
            f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            f"IF {condition} THEN RAISE EXCEPTION '{text}' USING ERRCODE = 'integrity_constraint_violation'; END IF; "
            f"RETURN {'OLD' if operation == 'DELETE' else 'NEW'}; END $$"
        )
        yield f"CREATE OR REPLACE TRIGGER {name} BEFORE {operation} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()"
