"""The schema, the same on SQLite and PostgreSQL.

Times are BIGINT µs UTC (timestamps come back naive from SQLite), flags and sets are plain integers and JSON text, so
that nothing depends on the dialect.  Constraint names follow one convention from the first day: later migrations need
them.  What the columns cannot say is said by triggers (`triggers.py`).
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False, server_default=false())


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False, server_default="")


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default="0")


users = Table(
    "users",
    metadata,
    Column("user_id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("account", Text, nullable=False, unique=True),
    Column("duties", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    _flag("disabled"),
    _flag("service"),
    Column("mfa_secret", LargeBinary),
    _number("mfa_last_step"),
)

# S8: a name or account, whatever the case of its letters, is one person's.
user_aliases = Table(
    "user_aliases",
    metadata,
    Column("alias", Text, primary_key=True),
    Column("user_id", Text, ForeignKey("users.user_id"), nullable=False),
)

mfa_tokens = Table(
    "mfa_tokens",
    metadata,
    Column("user_id", Text, ForeignKey("users.user_id"), primary_key=True),
    Column("token_hash", LargeBinary, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("sealed_secret", LargeBinary),
)

factor_failures = Table(
    "factor_failures",
    metadata,
    Column("failure_id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("user_id", Text, ForeignKey("users.user_id"), nullable=False),
    Column("factor", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Index("ix_factor_failures_user_id_factor", "user_id", "factor"),
)

factor_locks = Table(
    "factor_locks",
    metadata,
    Column("user_id", Text, ForeignKey("users.user_id"), primary_key=True),
    Column("factor", Text, primary_key=True),
    Column("until", BigInteger, nullable=False),
)

hosts = Table(
    "hosts",
    metadata,
    Column("host_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("labels", Text, nullable=False),
    Column("enrolled_at", BigInteger, nullable=False),
    _flag("removed"),
    _flag("connected"),
    _number("last_seen"),
    _text("boot_id"),
    _text("agent_version"),
    _text("sudo_version"),
    Column("problems", Text, nullable=False, server_default="[]"),
    _number("clock_skew_us"),
    _number("generation"),
    Index(
        "uq_hosts_name",
        "name",
        unique=True,
        sqlite_where=text("removed = 0"),
        postgresql_where=text("removed = false"),
    ),
)

# S9: when a person last proved the factor they have now, on each host.
factor_proofs = Table(
    "factor_proofs",
    metadata,
    Column("user_id", Text, ForeignKey("users.user_id"), primary_key=True),
    Column("host_id", Text, ForeignKey("hosts.host_id"), primary_key=True),
    Column("at", BigInteger, nullable=False),
)

enroll_tokens = Table(
    "enroll_tokens",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("host_name", Text, nullable=False),
    Column("labels", Text, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("host_id", Text, ForeignKey("hosts.host_id")),
)

policies = Table(
    "policies",
    metadata,
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("files", Text, nullable=False),
    Column("applied_by", Text, nullable=False),
    Column("applied_at", BigInteger, nullable=False),
    Column("digest", Text, nullable=False),
    Column("approved_by", Text, nullable=False, server_default="[]"),
    _text("reason"),
    _number("rolled_back_to"),
)

policy_changes = Table(
    "policy_changes",
    metadata,
    Column("change_id", Text, primary_key=True),
    Column("files", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("base_version", BigInteger, nullable=False),
    Column("proposed_by", Text, ForeignKey("users.user_id"), nullable=False),
    Column("proposed_at", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("approvals_needed", Integer, nullable=False),
    _number("rolled_back_to"),
    Column("state", Text, nullable=False),
    _number("closed_at"),
    _number("version"),
    CheckConstraint("approvals_needed > 0", name="needs_somebody"),
    Index("ix_policy_changes_state", "state"),
)

# S8: one vote a person and change.
policy_change_decisions = Table(
    "policy_change_decisions",
    metadata,
    Column("change_id", Text, ForeignKey("policy_changes.change_id"), primary_key=True),
    Column("user_id", Text, ForeignKey("users.user_id"), primary_key=True),
    Column("approved", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
)

requests = Table(
    "requests",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("user_id", Text, ForeignKey("users.user_id"), nullable=False, index=True),
    Column("host_id", Text, ForeignKey("hosts.host_id"), nullable=False),
    Column("uid", BigInteger, nullable=False),
    Column("local_name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("ask", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("ticket", Text, nullable=False),
    Column("duration_s", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("lapses_at", BigInteger, nullable=False),
    Column("approvals_needed", Integer, nullable=False),
    Column("role_commands", Text, nullable=False),
    _flag("mfa_passed"),
    _flag("once"),
    _number("session"),
    _number("starts_at"),
    _text("extends"),
    Column("login", Text, nullable=False),
    _text("batch_id"),
    CheckConstraint("duration_s > 0", name="duration_is_positive"),
    Index("ix_requests_batch_id", "batch_id"),
    Index("ix_requests_state_lapses_at", "state", "lapses_at"),
    Index("ix_requests_created_at", "created_at"),
)

batches = Table(
    "batches",
    metadata,
    Column("batch_id", Text, primary_key=True),
    Column("user_id", Text, ForeignKey("users.user_id"), nullable=False),
    Column("asked_on", Text, ForeignKey("hosts.host_id"), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("wanted", Text, nullable=False),
    Column("left_out", Text, nullable=False),
)

renewals = Table(
    "renewals",
    metadata,
    Column("renewal_id", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("user_id", Text, ForeignKey("users.user_id"), nullable=False, index=True),
    Column("asked_at", BigInteger, nullable=False, index=True),
    Column("reason", Text, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("line_until", BigInteger, nullable=False),
    Column("lapses_at", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    _text("decided_by"),
    _text("decision_reason"),
    _number("decided_at"),
    _number("gone_at"),
    CheckConstraint("until > line_until", name="lasts_longer"),
    Index("ix_renewals_state_until", "state", "until"),
    # However many servers there are, one waits at a time.
    Index(
        "uq_renewals_role_user_id",
        "role",
        "user_id",
        unique=True,
        sqlite_where=text("state = 'pending'"),
        postgresql_where=text("state = 'pending'"),
    ),
)

# What was told of the end of an eligibility, so that it is told once, however many servers there are.
eligibility_notices = Table(
    "eligibility_notices",
    metadata,
    Column("role", Text, primary_key=True),
    Column("user_id", Text, ForeignKey("users.user_id"), primary_key=True),
    Column("active", Boolean, primary_key=True),
    Column("until", BigInteger, primary_key=True, autoincrement=False),
    Column("days_left", Integer, primary_key=True, autoincrement=False),
    Column("told_at", BigInteger, nullable=False),
)

# S8: one vote a person and request, whatever raced.
decisions = Table(
    "decisions",
    metadata,
    Column("request_id", Text, ForeignKey("requests.request_id"), primary_key=True),
    Column("user_id", Text, ForeignKey("users.user_id"), primary_key=True),
    Column("approved", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
)

grants = Table(
    "grants",
    metadata,
    Column("grant_id", Text, primary_key=True),
    Column("request_id", Text, ForeignKey("requests.request_id"), nullable=False),
    Column("user_id", Text, ForeignKey("users.user_id"), nullable=False, index=True),
    Column("host_id", Text, ForeignKey("hosts.host_id"), nullable=False),
    Column("uid", BigInteger, nullable=False),
    Column("local_name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("run_as_user", Text, nullable=False),
    Column("run_as_group", Text, nullable=False),
    Column("commands", Text, nullable=False),
    _flag("shell"),
    Column("record", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("not_before", BigInteger, nullable=False),
    Column("not_after", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("approved_by", Text, nullable=False),
    Column("term_s", BigInteger, nullable=False),
    _flag("once"),
    _number("session"),
    _number("lease_s"),
    _flag("required"),
    _flag("subcommands"),
    _number("watch_s"),
    _number("retain_s"),
    _text("directory"),
    Column("environment", Text, nullable=False, server_default="[]"),
    _number("extensions"),
    _number("revision"),
    _text("signed_boot"),
    _number("signed_at"),
    _number("signed_until"),
    _number("signed_not_after"),
    Column("envelope", LargeBinary),
    _number("agreed_until"),
    _text("applied_boot"),
    _number("ending_since"),
    _number("ended_at"),
    _text("end_reason"),
    _number("left_set_at"),
    _number("unconfirmed_at"),
    Column("leftovers", Text, nullable=False, server_default="[]"),
    UniqueConstraint("request_id"),
    CheckConstraint("not_before < not_after", name="has_time"),
    CheckConstraint("uid > 0", name="not_root"),
    Index("ix_grants_host_id_state", "host_id", "state"),
    Index("ix_grants_state_not_after", "state", "not_after"),
)

locks = Table(
    "locks",
    metadata,
    Column("lock_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_by_id", Text, ForeignKey("users.user_id"), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    _number("lifted_at"),
    _text("lifted_by"),
    Column("grants_ended", Integer, nullable=False),
    Column("requests_cancelled", Integer, nullable=False),
    Index("ix_locks_lifted_at", "lifted_at"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("session_id", Text, primary_key=True),
    Column("host_id", Text, ForeignKey("hosts.host_id"), nullable=False),
    Column("host", Text, nullable=False),
    Column("began_at", BigInteger, nullable=False, index=True),
    Column("state", Text, nullable=False),
    # Empty for an account of nobody the server knows, so these are no foreign keys.
    _text("user_id"),
    _text("user"),
    _text("grant_id"),
    _text("request_id"),
    _text("role"),
    _number("watch_s"),
    _number("retain_s"),
    _flag("standing"),
    _text("run_as_user"),
    Column("argv", Text, nullable=False, server_default="[]"),
    _text("command_line"),
    _text("command"),
    _text("cwd"),
    _text("tty"),
    Column("environment", Text, nullable=False, server_default="[]"),
    _number("rows"),
    _number("columns"),
    Column("record", Text, nullable=False),
    _number("started_at"),
    _number("ended_at"),
    _number("exit_value"),
    _text("signal"),
    _number("run_time_us"),
    _text("reject_reason"),
    _number("output_bytes"),
    _number("input_bytes"),
    Column("recording", Text, nullable=False),
    _text("incomplete"),
    _flag("end_told"),
    _number("chunks_told"),
    _text("digest"),
    _number("chunks"),
    _number("stored_bytes"),
    _text("damage"),
    _number("damaged_at"),
    _number("retain_until"),
    _text("act"),
    _text("ordered_by"),
    _text("order_reason"),
    _number("ordered_at"),
    Index("ix_sessions_host_id_state", "host_id", "state"),
    Index("ix_sessions_state", "state"),
    Index("ix_sessions_user_id_began_at", "user_id", "began_at"),
    Index("ix_sessions_grant_id", "grant_id"),
    Index("ix_sessions_retain_until", "retain_until"),
)

session_commands = Table(
    "session_commands",
    metadata,
    Column("session_id", Text, ForeignKey("sessions.session_id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("argv", Text, nullable=False),
    Column("command", Text, nullable=False),
    Column("cwd", Text, nullable=False),
    Column("run_as_user", Text, nullable=False),
    Column("rejected", Text, nullable=False),
)

# A row stays when its watcher has gone: that somebody watched is written down once.
session_watchers = Table(
    "session_watchers",
    metadata,
    Column("session_id", Text, ForeignKey("sessions.session_id"), primary_key=True),
    Column("user_id", Text, ForeignKey("users.user_id"), primary_key=True),
    Column("seen_at", BigInteger, nullable=False),
    _flag("counts"),
)

recording_chunks = Table(
    "recording_chunks",
    metadata,
    Column("session_id", Text, ForeignKey("sessions.session_id"), primary_key=True),
    Column("chunk", BigInteger, primary_key=True, autoincrement=False),
    Column("sha256", Text, nullable=False, index=True),
    Column("size", BigInteger, nullable=False),
    Column("decoded_size", BigInteger, nullable=False),
    Column("start_ns", BigInteger, nullable=False),
    Column("end_ns", BigInteger, nullable=False),
    Column("encoding", Text, nullable=False),
    _flag("deleted"),
)

reports = Table(
    "reports",
    metadata,
    Column("host_id", Text, ForeignKey("hosts.host_id"), primary_key=True),
    Column("spool_id", Text, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("kept_at", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("grant_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("body", Text, nullable=False),
)

audit_events = Table(
    "audit_events",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False, index=True),
    Column("kind", Text, nullable=False, index=True),
    Column("actor", Text, nullable=False),
    Column("user", Text, nullable=False, index=True),
    Column("host", Text, nullable=False, index=True),
    Column("role", Text, nullable=False),
    Column("request_id", Text, nullable=False, index=True),
    Column("grant_id", Text, nullable=False, index=True),
    Column("details", Text, nullable=False),
)

# One row.  Locking it makes write transactions one at a time on PostgreSQL, as `BEGIN IMMEDIATE` does on SQLite.
audit_counter = Table(
    "audit_counter",
    metadata,
    Column("counter_id", Integer, primary_key=True, autoincrement=False),
    Column("last", BigInteger, nullable=False),
    CheckConstraint("counter_id = 1", name="one_row"),
)
