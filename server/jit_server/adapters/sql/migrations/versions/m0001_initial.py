"""The schema of version 0.1 (frozen: later changes are later modules)."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_counter",
        sa.Column("counter_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("counter_id = 1", name=op.f("ck_audit_counter_one_row")),
        sa.PrimaryKeyConstraint("counter_id", name=op.f("pk_audit_counter")),
    )
    op.create_table(
        "audit_events",
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("grant_id", sa.Text(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_audit_events")),
    )
    op.create_index(op.f("ix_audit_events_at"), "audit_events", ["at"], unique=False)
    op.create_index(op.f("ix_audit_events_grant_id"), "audit_events", ["grant_id"], unique=False)
    op.create_index(op.f("ix_audit_events_host"), "audit_events", ["host"], unique=False)
    op.create_index(op.f("ix_audit_events_kind"), "audit_events", ["kind"], unique=False)
    op.create_index(op.f("ix_audit_events_request_id"), "audit_events", ["request_id"], unique=False)
    op.create_index(op.f("ix_audit_events_user"), "audit_events", ["user"], unique=False)

    op.create_table(
        "hosts",
        sa.Column("host_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("enrolled_at", sa.BigInteger(), nullable=False),
        sa.Column("removed", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("connected", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("last_seen", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("boot_id", sa.Text(), server_default="", nullable=False),
        sa.Column("agent_version", sa.Text(), server_default="", nullable=False),
        sa.Column("sudo_version", sa.Text(), server_default="", nullable=False),
        sa.Column("problems", sa.Text(), server_default="[]", nullable=False),
        sa.Column("clock_skew_us", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("generation", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("host_id", name=op.f("pk_hosts")),
    )
    op.create_index(
        "uq_hosts_name",
        "hosts",
        ["name"],
        unique=True,
        sqlite_where=sa.text("removed = 0"),
        postgresql_where=sa.text("removed = false"),
    )

    op.create_table(
        "policies",
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("files", sa.Text(), nullable=False),
        sa.Column("applied_by", sa.Text(), nullable=False),
        sa.Column("applied_at", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("approved_by", sa.Text(), server_default="[]", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("rolled_back_to", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_policies")),
    )
    op.create_table(
        "users",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("duties", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("disabled", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("service", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("mfa_secret", sa.LargeBinary(), nullable=True),
        sa.Column("mfa_last_step", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_users")),
        sa.UniqueConstraint("account", name=op.f("uq_users_account")),
        sa.UniqueConstraint("name", name=op.f("uq_users_name")),
    )
    op.create_table(
        "enroll_tokens",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("host_name", sa.Text(), nullable=False),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("host_id", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.host_id"], name=op.f("fk_enroll_tokens_host_id_hosts")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_enroll_tokens")),
    )
    op.create_table(
        "factor_failures",
        sa.Column("failure_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("factor", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.user_id"], name=op.f("fk_factor_failures_user_id_users")),
        sa.PrimaryKeyConstraint("failure_id", name=op.f("pk_factor_failures")),
    )
    op.create_index("ix_factor_failures_user_id_factor", "factor_failures", ["user_id", "factor"], unique=False)

    op.create_table(
        "factor_locks",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("factor", sa.Text(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.user_id"], name=op.f("fk_factor_locks_user_id_users")),
        sa.PrimaryKeyConstraint("user_id", "factor", name=op.f("pk_factor_locks")),
    )
    op.create_table(
        "factor_proofs",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("host_id", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.host_id"], name=op.f("fk_factor_proofs_host_id_hosts")),
        sa.ForeignKeyConstraint(["user_id"], ["users.user_id"], name=op.f("fk_factor_proofs_user_id_users")),
        sa.PrimaryKeyConstraint("user_id", "host_id", name=op.f("pk_factor_proofs")),
    )
    op.create_table(
        "mfa_tokens",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.user_id"], name=op.f("fk_mfa_tokens_user_id_users")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_mfa_tokens")),
    )
    op.create_table(
        "policy_changes",
        sa.Column("change_id", sa.Text(), nullable=False),
        sa.Column("files", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("base_version", sa.BigInteger(), nullable=False),
        sa.Column("proposed_by", sa.Text(), nullable=False),
        sa.Column("proposed_at", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("approvals_needed", sa.Integer(), nullable=False),
        sa.Column("rolled_back_to", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint("approvals_needed > 0", name=op.f("ck_policy_changes_needs_somebody")),
        sa.ForeignKeyConstraint(["proposed_by"], ["users.user_id"], name=op.f("fk_policy_changes_proposed_by_users")),
        sa.PrimaryKeyConstraint("change_id", name=op.f("pk_policy_changes")),
    )
    op.create_index("ix_policy_changes_state", "policy_changes", ["state"], unique=False)
    op.create_table(
        "policy_change_decisions",
        sa.Column("change_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("approved", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["change_id"],
            ["policy_changes.change_id"],
            name=op.f("fk_policy_change_decisions_change_id_policy_changes"),
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.user_id"], name=op.f("fk_policy_change_decisions_user_id_users")),
        sa.PrimaryKeyConstraint("change_id", "user_id", name=op.f("pk_policy_change_decisions")),
    )
    op.create_table(
        "locks",
        sa.Column("lock_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_by_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("lifted_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lifted_by", sa.Text(), server_default="", nullable=False),
        sa.Column("grants_ended", sa.Integer(), nullable=False),
        sa.Column("requests_cancelled", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["created_by_id"], ["users.user_id"], name=op.f("fk_locks_created_by_id_users")),
        sa.PrimaryKeyConstraint("lock_id", name=op.f("pk_locks")),
    )
    op.create_index("ix_locks_lifted_at", "locks", ["lifted_at"], unique=False)
    op.create_table(
        "reports",
        sa.Column("host_id", sa.Text(), nullable=False),
        sa.Column("spool_id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kept_at", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("grant_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.host_id"], name=op.f("fk_reports_host_id_hosts")),
        sa.PrimaryKeyConstraint("host_id", "spool_id", "sequence", name=op.f("pk_reports")),
    )
    op.create_table(
        "requests",
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("host_id", sa.Text(), nullable=False),
        sa.Column("uid", sa.BigInteger(), nullable=False),
        sa.Column("local_name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("ask", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("ticket", sa.Text(), nullable=False),
        sa.Column("duration_s", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("lapses_at", sa.BigInteger(), nullable=False),
        sa.Column("approvals_needed", sa.Integer(), nullable=False),
        sa.Column("role_commands", sa.Text(), nullable=False),
        sa.Column("mfa_passed", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("once", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("session", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("starts_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("extends", sa.Text(), server_default="", nullable=False),
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("batch_id", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint("duration_s > 0", name=op.f("ck_requests_duration_is_positive")),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.host_id"], name=op.f("fk_requests_host_id_hosts")),
        sa.ForeignKeyConstraint(["user_id"], ["users.user_id"], name=op.f("fk_requests_user_id_users")),
        sa.PrimaryKeyConstraint("request_id", name=op.f("pk_requests")),
    )
    op.create_index("ix_requests_batch_id", "requests", ["batch_id"], unique=False)
    op.create_index("ix_requests_created_at", "requests", ["created_at"], unique=False)
    op.create_index("ix_requests_state_lapses_at", "requests", ["state", "lapses_at"], unique=False)
    op.create_index(op.f("ix_requests_user_id"), "requests", ["user_id"], unique=False)
    op.create_table(
        "batches",
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("asked_on", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("wanted", sa.Text(), nullable=False),
        sa.Column("left_out", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["asked_on"], ["hosts.host_id"], name=op.f("fk_batches_asked_on_hosts")),
        sa.ForeignKeyConstraint(["user_id"], ["users.user_id"], name=op.f("fk_batches_user_id_users")),
        sa.PrimaryKeyConstraint("batch_id", name=op.f("pk_batches")),
    )
    op.create_table(
        "renewals",
        sa.Column("renewal_id", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("line_until", sa.BigInteger(), nullable=False),
        sa.Column("lapses_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("decided_by", sa.Text(), server_default="", nullable=False),
        sa.Column("decision_reason", sa.Text(), server_default="", nullable=False),
        sa.Column("decided_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("gone_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint("until > line_until", name=op.f("ck_renewals_lasts_longer")),
        sa.ForeignKeyConstraint(["user_id"], ["users.user_id"], name=op.f("fk_renewals_user_id_users")),
        sa.PrimaryKeyConstraint("renewal_id", name=op.f("pk_renewals")),
    )
    op.create_index(op.f("ix_renewals_asked_at"), "renewals", ["asked_at"], unique=False)
    op.create_index("ix_renewals_state_until", "renewals", ["state", "until"], unique=False)
    op.create_index(op.f("ix_renewals_user_id"), "renewals", ["user_id"], unique=False)
    op.create_index(
        "uq_renewals_role_user_id",
        "renewals",
        ["role", "user_id"],
        unique=True,
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_table(
        "eligibility_notices",
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("until", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("days_left", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("told_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.user_id"], name=op.f("fk_eligibility_notices_user_id_users")),
        sa.PrimaryKeyConstraint("role", "user_id", "active", "until", "days_left", name=op.f("pk_eligibility_notices")),
    )

    op.create_table(
        "user_aliases",
        sa.Column("alias", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.user_id"], name=op.f("fk_user_aliases_user_id_users")),
        sa.PrimaryKeyConstraint("alias", name=op.f("pk_user_aliases")),
    )
    op.create_table(
        "decisions",
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("approved", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["request_id"], ["requests.request_id"], name=op.f("fk_decisions_request_id_requests")),
        sa.ForeignKeyConstraint(["user_id"], ["users.user_id"], name=op.f("fk_decisions_user_id_users")),
        sa.PrimaryKeyConstraint("request_id", "user_id", name=op.f("pk_decisions")),
    )
    op.create_table(
        "grants",
        sa.Column("grant_id", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("host_id", sa.Text(), nullable=False),
        sa.Column("uid", sa.BigInteger(), nullable=False),
        sa.Column("local_name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("run_as_user", sa.Text(), nullable=False),
        sa.Column("run_as_group", sa.Text(), nullable=False),
        sa.Column("commands", sa.Text(), nullable=False),
        sa.Column("shell", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=False),
        sa.Column("not_after", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=False),
        sa.Column("term_s", sa.BigInteger(), nullable=False),
        sa.Column("once", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("session", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lease_s", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("required", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("subcommands", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("watch_s", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("retain_s", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("directory", sa.Text(), server_default="", nullable=False),
        sa.Column("environment", sa.Text(), server_default="[]", nullable=False),
        sa.Column("extensions", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("revision", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("signed_boot", sa.Text(), server_default="", nullable=False),
        sa.Column("signed_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("signed_until", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("signed_not_after", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=True),
        sa.Column("agreed_until", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("applied_boot", sa.Text(), server_default="", nullable=False),
        sa.Column("ending_since", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("ended_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("end_reason", sa.Text(), server_default="", nullable=False),
        sa.Column("left_set_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("unconfirmed_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("leftovers", sa.Text(), server_default="[]", nullable=False),
        sa.CheckConstraint("not_before < not_after", name=op.f("ck_grants_has_time")),
        sa.CheckConstraint("uid > 0", name=op.f("ck_grants_not_root")),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.host_id"], name=op.f("fk_grants_host_id_hosts")),
        sa.ForeignKeyConstraint(["request_id"], ["requests.request_id"], name=op.f("fk_grants_request_id_requests")),
        sa.ForeignKeyConstraint(["user_id"], ["users.user_id"], name=op.f("fk_grants_user_id_users")),
        sa.PrimaryKeyConstraint("grant_id", name=op.f("pk_grants")),
        sa.UniqueConstraint("request_id", name=op.f("uq_grants_request_id")),
    )
    op.create_index("ix_grants_host_id_state", "grants", ["host_id", "state"], unique=False)
    op.create_index("ix_grants_state_not_after", "grants", ["state", "not_after"], unique=False)
    op.create_index(op.f("ix_grants_user_id"), "grants", ["user_id"], unique=False)
    op.create_table(
        "sessions",
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("host_id", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), server_default="", nullable=False),
        sa.Column("user", sa.Text(), server_default="", nullable=False),
        sa.Column("grant_id", sa.Text(), server_default="", nullable=False),
        sa.Column("request_id", sa.Text(), server_default="", nullable=False),
        sa.Column("role", sa.Text(), server_default="", nullable=False),
        sa.Column("watch_s", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("retain_s", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("standing", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("run_as_user", sa.Text(), server_default="", nullable=False),
        sa.Column("argv", sa.Text(), server_default="[]", nullable=False),
        sa.Column("command_line", sa.Text(), server_default="", nullable=False),
        sa.Column("command", sa.Text(), server_default="", nullable=False),
        sa.Column("cwd", sa.Text(), server_default="", nullable=False),
        sa.Column("tty", sa.Text(), server_default="", nullable=False),
        sa.Column("environment", sa.Text(), server_default="[]", nullable=False),
        sa.Column("rows", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("columns", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("ended_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("exit_value", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("signal", sa.Text(), server_default="", nullable=False),
        sa.Column("run_time_us", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("reject_reason", sa.Text(), server_default="", nullable=False),
        sa.Column("output_bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("input_bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("recording", sa.Text(), nullable=False),
        sa.Column("incomplete", sa.Text(), server_default="", nullable=False),
        sa.Column("end_told", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("chunks_told", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("digest", sa.Text(), server_default="", nullable=False),
        sa.Column("chunks", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("stored_bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("damage", sa.Text(), server_default="", nullable=False),
        sa.Column("damaged_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("retain_until", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("act", sa.Text(), server_default="", nullable=False),
        sa.Column("ordered_by", sa.Text(), server_default="", nullable=False),
        sa.Column("order_reason", sa.Text(), server_default="", nullable=False),
        sa.Column("ordered_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.host_id"], name=op.f("fk_sessions_host_id_hosts")),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_sessions")),
    )
    op.create_index(op.f("ix_sessions_began_at"), "sessions", ["began_at"], unique=False)
    op.create_index("ix_sessions_grant_id", "sessions", ["grant_id"], unique=False)
    op.create_index("ix_sessions_host_id_state", "sessions", ["host_id", "state"], unique=False)
    op.create_index("ix_sessions_retain_until", "sessions", ["retain_until"], unique=False)
    op.create_index("ix_sessions_state", "sessions", ["state"], unique=False)
    op.create_index("ix_sessions_user_id_began_at", "sessions", ["user_id", "began_at"], unique=False)

    op.create_table(
        "session_commands",
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("argv", sa.Text(), nullable=False),
        sa.Column("command", sa.Text(), nullable=False),
        sa.Column("cwd", sa.Text(), nullable=False),
        sa.Column("run_as_user", sa.Text(), nullable=False),
        sa.Column("rejected", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sessions.session_id"], name=op.f("fk_session_commands_session_id_sessions")
        ),
        sa.PrimaryKeyConstraint("session_id", "number", name=op.f("pk_session_commands")),
    )
    op.create_table(
        "session_watchers",
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("counts", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sessions.session_id"], name=op.f("fk_session_watchers_session_id_sessions")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.user_id"], name=op.f("fk_session_watchers_user_id_users")),
        sa.PrimaryKeyConstraint("session_id", "user_id", name=op.f("pk_session_watchers")),
    )
    op.create_table(
        "recording_chunks",
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("chunk", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("decoded_size", sa.BigInteger(), nullable=False),
        sa.Column("start_ns", sa.BigInteger(), nullable=False),
        sa.Column("end_ns", sa.BigInteger(), nullable=False),
        sa.Column("encoding", sa.Text(), nullable=False),
        sa.Column("deleted", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sessions.session_id"], name=op.f("fk_recording_chunks_session_id_sessions")
        ),
        sa.PrimaryKeyConstraint("session_id", "chunk", name=op.f("pk_recording_chunks")),
    )
    op.create_index(op.f("ix_recording_chunks_sha256"), "recording_chunks", ["sha256"], unique=False)
    op.execute("INSERT INTO audit_counter (counter_id, last) VALUES (1, 0)")
