"""The pure parts: what covers what, what the enforcer's and the person's words mean, where a process is."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import jit_agent
from jit_agent import config, enforcer_wire, identity, keys, peer, people_requests
from jit_agent.errors import AgentError, EnforcerRefused, Malformed, Misconfigured
from jit_agent.model import Ask, Command, LiveGrant, is_id, new_session_id
from jit_agent.server_session import longest_pause
from jit_agent.text import safe
from jit_testing.host_certificates import TestAuthority

LIVE = LiveGrant(
    grant_id="gnt-0000000000000001", revision=1, uid=1001, user="alice", role="web", run_as_user="root",
    run_as_group="", commands=None, shell=False, not_after=1, until=1, once=False, used=False, session=0,
    scope="jit.scope", processes=0,
)  # fmt: skip
RESTART = replace(LIVE, commands=(Command("/usr/bin/systemctl", ("restart", "nginx")), Command("/usr/bin/tail", None)))
SERVICES = replace(LIVE, commands=(Command("/usr/bin/systemctl", "^(stop|restart) [a-z]+$", "0a" * 32),))
ASK = Ask(argv=("/usr/bin/systemctl", "restart", "nginx"))


@pytest.mark.parametrize(
    ("grant", "ask", "covered"),
    [
        (LIVE, ASK, True),
        (RESTART, ASK, True),
        (RESTART, Ask(argv=("/usr/bin/tail", "-f", "/var/log/x")), True),
        (RESTART, Ask(argv=("/usr/bin/systemctl", "restart", "nginx", "ssh")), False),
        (RESTART, Ask(argv=("/usr/bin/systemctl",)), False),
        (RESTART, Ask(argv=("/bin/systemctl", "restart", "nginx")), False),
        (SERVICES, ASK, True),
        (SERVICES, Ask(argv=("/usr/bin/systemctl", "restart", "nginx", "ssh")), False),
        (SERVICES, Ask(argv=("/usr/bin/systemctl", "restart nginx")), False),
        (SERVICES, Ask(argv=("/bin/systemctl", "restart", "nginx")), False),
        (LIVE, replace(ASK, run_as_user="postgres"), False),
        (LIVE, replace(ASK, run_as_group="adm"), False),
        (LIVE, Ask(argv=(), shell=True), False),
        (replace(LIVE, shell=True), Ask(argv=(), shell=True), True),
        (replace(LIVE, shell=True), Ask(argv=(), login=True), True),
        (replace(RESTART, shell=True), Ask(argv=ASK.argv, shell=True), False),
        (LIVE, Ask(argv=()), False),
    ],
)
def test_a_grant_covers_exactly_what_sudo_would_let_through(grant: LiveGrant, ask: Ask, covered: bool) -> None:
    assert grant.covers(ask, 16) is covered


@pytest.mark.parametrize("args", [None, [], ["restart", "nginx"], {"regex": "^restart [a-z]+$"}])
def test_a_command_goes_out_as_it_came_from_the_enforcer(args: object) -> None:
    command = {"path": "/usr/bin/systemctl", "args": args, "sha256": "0a" * 32}
    live = {**LIVE.as_json(), "commands": [command]}
    answer = {"boot": "x", "host": None, "sudo": "1.9", "problems": [], "live": [live]}
    (read,) = enforcer_wire.parse_status(answer).live
    assert read.as_json()["commands"] == [command]


def test_session_ids_are_ids_and_never_the_same() -> None:
    made = {new_session_id() for _ in range(1_000)}
    assert len(made) == 1_000
    assert all(is_id(one, "ses") for one in made)


@pytest.mark.parametrize(
    "text", ["gnt-000000000000000", "gnt-000000000000000i", "req-0000000000000001", "GNT-" + "0" * 16]
)
def test_what_is_no_grant_id_is_none(text: str) -> None:
    assert not is_id(text, "gnt")


PROOF = {
    "grant": "gnt-0000000000000001", "revision": 1, "reason": "expired", "ended_at": 5, "late_us": 7, "killed": 0,
    "scope_empty": True, "rule_removed": True, "leftovers": [{"pid": 7, "command": "sleep 1000", "killed": False}],
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"grant": "x"}, {"grant": None}, {"revision": "1"}, {"revision": True}, {"reason": "tired"}, {"ended_at": 1.5},
        {"scope_empty": 1}, {"rule_removed": None},
    ],
)  # fmt: skip
def test_a_proof_with_one_wrong_field_is_no_proof(change: dict[str, Any]) -> None:
    assert enforcer_wire.parse_proof(PROOF).as_json() == PROOF
    with pytest.raises(Malformed):
        enforcer_wire.parse_proof(PROOF | change)


def test_live_grants_come_out_as_the_enforcer_told_them() -> None:
    told = LIVE.as_json(), RESTART.as_json()
    status = {"ok": True, "boot": "b", "host": None, "sudo": "1.9.13p3", "problems": [], "live": list(told)}
    assert enforcer_wire.parse_status(status).live == (LIVE, RESTART)


@pytest.mark.parametrize("packet", [b"", b"[]", b"{}", b'{"ok":1}', b'{"ok":false}', b"\xff", b"[" * 20_000])
def test_an_answer_that_is_neither_yes_nor_no_is_malformed(packet: bytes) -> None:
    with pytest.raises(Malformed):
        enforcer_wire.parse_answer(packet)


def test_a_refusal_keeps_the_enforcers_code() -> None:
    with pytest.raises(EnforcerRefused) as refused:
        enforcer_wire.parse_answer(b'{"ok":false,"error":"expired","message":"too late"}')
    assert (refused.value.enforcer_code, str(refused.value)) == ("expired", "too late")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
operations = st.sampled_from(["plan", "request", "wait", "ls", "status", "cancel", "drop", "mfa_begin", "doctor", "x"])
keys_of_requests = st.sampled_from(["ask", "role", "reason", "otp", "duration_s", "grant", "all", "argv", "request"])


def refusal(untrusted_line: bytes) -> AgentError | None:
    try:
        people_requests.parse(untrusted_line)
    except AgentError as e:
        return e
    return None


@given(operations, st.dictionaries(keys_of_requests, json_values, max_size=5))
def test_any_request_is_a_value_or_one_clean_line(op: str, rest: dict[str, Any]) -> None:
    error = refusal(json.dumps({"op": op} | rest).encode())
    assert error is None or (error.code in {"invalid", "usage"} and str(error).isprintable())


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_one_clean_line(untrusted: bytes) -> None:
    error = refusal(untrusted)
    assert error is None or str(error).isprintable()


def test_limits_of_a_request_are_named() -> None:
    line = {"op": "request", "role": "web", "ask": {"argv": []}, "reason": "r" * 1_000}
    assert isinstance(people_requests.parse(json.dumps(line).encode()), people_requests.MakeRequest)
    with pytest.raises(Malformed, match="reason has 1001 characters, limit 1000"):
        people_requests.parse(json.dumps(line | {"reason": "r" * 1_001}).encode())
    with pytest.raises(Malformed, match="ticket has 201 characters, limit 200"):
        people_requests.parse(json.dumps(line | {"ticket": "t" * 201}).encode())


@pytest.mark.parametrize(
    ("cgroup", "grant"),
    [
        ("0::/user.slice/user-1001.slice/jit-gnt-0000000000000001.scope", "gnt-0000000000000001"),
        ("0::/user.slice/user-1001.slice/jit-gnt-0000000000000001.scope/inner", "gnt-0000000000000001"),
        ("0::/user.slice/user-1001.slice/jit-gnt-0000000000000001-r2.scope", "gnt-0000000000000001"),
        ("0::/user.slice/user-1001.slice/jit-gnt-0000000000000001-x.scope", None),
        ("0::/user.slice/user-0.slice/session-3.scope", None),
        ("0::/x/jit-gnt-0000000000000001.scopeless", None),
        ("0::/x/notjit-gnt-0000000000000001.scope", None),
        ("1:name=systemd:/jit-gnt-0000000000000001.scope\n0::/", None),
    ],
)
def test_root_is_inside_a_grant_only_by_its_cgroup(cgroup: str, grant: str | None) -> None:
    assert peer.grant_of_scope(cgroup + "\n") == grant


@pytest.mark.parametrize(
    ("told", "session"), [("16", 16), ("0", 0), ("4294967295", 0), ("4294967294", 4_294_967_294), ("", 0), ("-1", 0)]
)
def test_what_no_login_started_has_no_session(told: str, session: int) -> None:
    assert peer.session_of(told) == session


def test_a_host_comes_back_later_and_later_but_soon_if_a_lease_runs_out() -> None:
    pauses = [longest_pause(attempt, lease=False) for attempt in range(50)]
    assert (pauses[0], pauses[-1]) == (0.5, 10.0)
    assert pauses == sorted(pauses)
    assert max(longest_pause(attempt, lease=True) for attempt in range(50)) == 1.0


def test_text_from_outside_is_visible_and_harmless() -> None:
    assert safe("ok é ▀") == "ok é ▀"
    assert safe("a\x1b[31m\nb\u202e\u200b\x9b\x7f") == "a\\x1b[31m\\x0ab\\u202e\\u200b\\x9b\\x7f"
    assert safe("x" * 5, limit=3) == "xxx… (2 more characters)"


@given(st.text())
def test_no_text_keeps_a_character_a_terminal_would_act_on(text: str) -> None:
    assert safe(text).isprintable()


GOOD = 'server = "s:7443"\nhost_id = "hst-0000000000000001"\nhost_name = "web1"\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "server is missing"), (GOOD + "x = 1\n", "unknown key 'x'"),
        (GOOD + "spool_limit = true\n", "spool_limit"),
        (GOOD.replace("s:7443", "s"), "not HOST:PORT"), (GOOD.replace("s:7443", "s:0"), "not HOST:PORT"),
        (GOOD.replace("hst-", "usr-"), "not a host's id"), (GOOD + 'agent_socket = "x"\n', "absolute path"),
        ("server = ", "agent.toml"),
    ],
)  # fmt: skip
def test_a_configuration_that_cannot_be_used_says_which_key(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(text)
    with pytest.raises(Misconfigured, match=says):
        config.load(path)
    explained = config.load_or_explain(path)
    assert explained.enrolment is None
    assert says in explained.problem


def test_a_configuration_says_where_the_server_is(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(GOOD + 'sudo_log_address = "127.0.0.1:10843"\n')
    loaded = config.load(path)
    assert loaded.enrolment == config.Enrolment("s:7443", "hst-0000000000000001", "web1")
    assert loaded.sudo_log_address == ("127.0.0.1", 10843)
    assert config.load_or_explain(tmp_path / "none").problem == "this host is not enrolled"


def self_signed(days: int) -> tuple[bytes, bytes]:
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    key_pem, _ = keys.new_key_and_csr()
    key: Any = serialization.load_pem_private_key(key_pem, None)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    return key_pem, certificate.public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize("days", [7, 90, 36_500])
def test_the_life_of_a_certificate_is_what_it_says(days: int) -> None:
    """100 years reach beyond 2049, where the form of the date changes (RFC 5280 4.1.2.5)."""
    _, certificate = self_signed(days)
    start = 1_767_225_600_000_000
    assert identity.validity(certificate) == (start, start + days * 86_400_000_000)


@pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", b"x" * 100])
def test_what_is_no_certificate_is_an_error_of_ours(content: bytes) -> None:
    with pytest.raises(Misconfigured):
        identity.validity(content)


def test_a_renewal_that_crashed_between_its_two_renames_is_finished(tmp_path: Path) -> None:
    old_key, old = self_signed(7)
    new_key, new = self_signed(8)
    (tmp_path / "ca.crt").write_bytes(old)
    (tmp_path / "host.key").write_bytes(new_key)
    (tmp_path / "host.crt").write_bytes(old)
    (tmp_path / "host.crt.new").write_bytes(new)
    assert identity.load(tmp_path).certificate == new
    (tmp_path / "host.key").write_bytes(old_key)
    with pytest.raises(Misconfigured, match="not for its key"):
        identity.load(tmp_path)


def test_the_certificate_of_another_host_is_not_taken_for_ours() -> None:
    mine = "hst-0000000000000001"
    certificate = TestAuthority().host(keys.new_key_and_csr()[1], mine)
    identity.require_host(certificate, mine)
    with pytest.raises(Misconfigured, match="not for hst-0000000000000002"):
        identity.require_host(certificate, "hst-0000000000000002")


def test_a_renewal_replaces_both_files_or_none(tmp_path: Path) -> None:
    key, certificate = self_signed(7)
    other_key, other = self_signed(8)
    (tmp_path / "host.key").write_bytes(key)
    (tmp_path / "host.crt").write_bytes(certificate)
    (tmp_path / "ca.crt").write_bytes(certificate)
    with pytest.raises(Misconfigured, match="not for our key"):
        identity.replace(tmp_path, other_key, certificate, certificate)
    assert identity.load(tmp_path).key == key
    assert identity.replace(tmp_path, other_key, other, other).certificate == other


def test_the_agent_tells_the_version_it_was_packaged_with() -> None:
    assert jit_agent.__version__ == metadata.version("jit-agent")
