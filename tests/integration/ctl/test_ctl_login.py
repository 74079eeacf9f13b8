"""Login: the pin, the proof, what is kept, and how each refusal ends."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from jit_ctl import trust
from jit_testing.ctl_certificates import Authority, fingerprint
from jit_testing.fake_ctl_server import FakeServer
from jit_testing.fake_ctl_state import ALICE, CODE, PASSWORD, TOKEN


def first(server: FakeServer, ca: str) -> list[str]:
    return ["login", "--server", server.bootstrap, "--ca", ca, "--user", "alice", "--otp", CODE, "--password-stdin"]


def test_a_login_gives_a_certificate_that_the_server_knows_us_by(jitctl: Any, server: FakeServer) -> None:
    done = jitctl.login(server)
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(f"alice is logged in at {server.mtls} until ")
    me = jitctl("whoami", "-o", "json")
    assert (me.status, me.json["user_id"], me.json["approver_of"]) == (0, ALICE, ["web-operator"])


def test_a_second_login_needs_neither_server_nor_fingerprint_nor_name(alice: Any, server: FakeServer) -> None:
    done = alice("login", "--otp", CODE, "--password-stdin", "-o", "json", stdin=PASSWORD + "\n")
    assert (done.status, done.json["user"], done.json["server"]) == (0, "alice", server.mtls)
    assert server.asked[0].user == "alice"


def test_what_is_kept_is_private(alice: Any, home: Path) -> None:
    kept = home / "state" / "jitctl"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    assert {file.name: stat.S_IMODE(file.stat().st_mode) for file in kept.iterdir()} == {
        "ca.crt": 0o600,
        "session.json": 0o600,
    }


def test_the_password_is_kept_nowhere(alice: Any, home: Path) -> None:
    for file in home.rglob("*"):
        assert file.is_dir() or (PASSWORD.encode() not in file.read_bytes() and CODE.encode() not in file.read_bytes())


def test_a_wrong_fingerprint_is_refused_before_anything_is_sent(jitctl: Any, server: FakeServer, home: Path) -> None:
    refused = jitctl(*first(server, "sha256:" + "0" * 64), stdin=PASSWORD + "\n")
    assert refused.status == 78
    assert "does not show a certificate with the fingerprint" in refused.err
    assert server.asked == []
    assert not list(home.rglob("ca.crt"))


def test_the_fingerprint_of_a_leaf_is_not_a_pin(jitctl: Any, server: FakeServer) -> None:
    leaf, *_ = trust._shown_chain(server.bootstrap, 5)
    refused = jitctl(*first(server, trust.fingerprint(leaf)), stdin=PASSWORD + "\n")
    assert (refused.status, server.asked) == (78, [])
    assert "is not the fingerprint of a CA" in refused.err


def test_a_ca_that_is_over_is_refused(jitctl: Any) -> None:
    with FakeServer(Authority.make(days=-1)) as server:
        refused = jitctl(*first(server, server.authority.fingerprint), stdin=PASSWORD + "\n")
    assert refused.status == 78
    assert "is not valid today" in refused.err


def test_a_ca_that_is_shown_but_did_not_sign_the_server_gets_no_password(jitctl: Any, authority: Authority) -> None:
    with FakeServer(authority, server_authority=Authority.make()) as server:
        refused = jitctl(*first(server, authority.fingerprint), stdin=PASSWORD + "\n")
        assert (refused.status, server.asked) == (69, [])
    assert "no trusted connection" in refused.err


def test_a_server_that_does_not_show_its_ca_is_refused(jitctl: Any, authority: Authority) -> None:
    with FakeServer(authority, show_ca=False) as server:
        assert jitctl(*first(server, authority.fingerprint), stdin=PASSWORD + "\n").status == 78


def test_another_fingerprint_does_not_replace_the_pinned_one(alice: Any, server: FakeServer) -> None:
    other = Authority.make().fingerprint
    refused = alice(*first(server, other), stdin=PASSWORD + "\n")
    assert (refused.status, server.asked) == (78, [])
    assert f"another CA is pinned: {server.authority.fingerprint}" in refused.err
    assert "logout --forget" in refused.err


def test_an_impostor_with_a_ca_of_its_own_is_refused_by_the_pin(alice: Any) -> None:
    with FakeServer(Authority.make()) as impostor:
        refused = alice(
            "login", "--server", impostor.bootstrap, "--otp", CODE, "--password-stdin", stdin=PASSWORD + "\n"
        )
        assert (refused.status, impostor.asked) == (69, [])


def test_openssl_spelling_of_a_fingerprint_is_understood(authority: Authority) -> None:
    plain = fingerprint(authority.certificate).removeprefix("sha256:").upper()
    spelled = ":".join(plain[at : at + 2] for at in range(0, 64, 2))
    assert trust.parse_fingerprint(f"SHA256:{spelled}") == authority.fingerprint


@pytest.mark.parametrize(("password", "otp"), [("wrong", CODE), (PASSWORD, "000000")])
def test_wrong_password_or_code_is_status_4_and_keeps_no_login(
    jitctl: Any, server: FakeServer, home: Path, password: str, otp: str
) -> None:
    arguments = [otp if word == CODE else word for word in first(server, server.authority.fingerprint)]
    refused = jitctl(*arguments, stdin=password + "\n")
    assert refused.status == 4
    assert refused.err == "jitctl: password or code is wrong\nhint: wait for the next code\n"
    assert not list(home.rglob("session.json"))


def test_without_a_terminal_it_never_prompts_but_names_the_flag(jitctl: Any, server: FakeServer) -> None:
    known = ["login", "--server", server.bootstrap, "--ca", server.authority.fingerprint, "--user", "alice"]
    no_password = jitctl(*known)
    assert (no_password.status, "--password-stdin" in no_password.err) == (2, True)
    no_code = jitctl(*known, "--password-stdin", stdin=PASSWORD + "\n")
    assert (no_code.status, "--otp" in no_code.err, server.asked) == (2, True, [])


def test_the_first_login_says_which_flag_is_missing(jitctl: Any, server: FakeServer) -> None:
    assert "--server" in jitctl("login").err
    no_pin = jitctl("login", "--server", server.bootstrap)
    assert (no_pin.status, "--ca" in no_pin.err) == (2, True)


def test_password_and_code_are_asked_for_on_a_terminal_and_the_password_is_not_shown(
    on_terminal: Any, server: FakeServer
) -> None:
    child = on_terminal("login", "--server", server.bootstrap, "--ca", server.authority.fingerprint, "--user", "alice")
    child.expect_exact("Password: ")
    child.sendline(PASSWORD)
    child.expect_exact("One-time code: ")
    shown = child.before
    child.sendline(CODE)
    child.expect_exact("alice is logged in")
    assert (child.end(), PASSWORD in shown) == (0, False)


def test_leaving_at_the_code_prompt_logs_nobody_in(on_terminal: Any, server: FakeServer, home: Path) -> None:
    for leave, status in (("\x03", 130), ("\x04", 4)):
        child = on_terminal(
            "login", "--server", server.bootstrap, "--ca", server.authority.fingerprint, "--user", "alice"
        )
        child.expect_exact("Password: ")
        child.sendline(PASSWORD)
        child.expect_exact("One-time code: ")
        child.send(leave)
        assert (child.end(), server.asked) == (status, [])
    assert not list(home.rglob("session.json"))


def test_after_logout_there_is_no_login_and_the_pin_stays_until_forgotten(alice: Any, home: Path) -> None:
    assert alice("logout").status == 0
    assert alice("whoami").status == 4
    assert list(home.rglob("ca.crt"))
    assert alice("logout", "--forget").status == 0
    assert not list(home.rglob("ca.crt"))


def test_a_login_that_is_over_is_said_without_asking_the_server(alice: Any, server: FakeServer, home: Path) -> None:
    file = home / "state" / "jitctl" / "session.json"
    kept = json.loads(file.read_text())
    file.write_text(json.dumps({**kept, "expires_at": "2026-01-01T00:00:00Z"}))
    over = alice("whoami")
    assert (over.status, server.asked) == (4, [])
    assert "your login ended at 2026-01-01" in over.err


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"server": 1}', '{"a": "b"}', "\x00"])
def test_a_damaged_login_is_one_line(alice: Any, home: Path, damage: str) -> None:
    (home / "state" / "jitctl" / "session.json").write_text(damage)
    broken = alice("whoami")
    assert (broken.status, broken.err.count("\n")) == (78, 2)
    assert "is damaged" in broken.err


def test_a_login_that_others_may_read_is_not_used(alice: Any, server: FakeServer, home: Path) -> None:
    (home / "state" / "jitctl" / "session.json").chmod(0o640)
    refused = alice("whoami")
    assert (refused.status, server.asked) == (78, [])
    assert "not a private file" in refused.err


def test_enrolling_a_second_factor_shows_it_once_and_counts_after_one_code(
    on_terminal: Any, server: FakeServer
) -> None:
    child = on_terminal(
        *("mfa", "enroll", "--token", TOKEN, "--user", "alice"),
        *("--server", server.bootstrap, "--ca", server.authority.fingerprint),
    )
    child.expect_exact("█▀▀█")
    child.expect_exact("otpauth://totp/jit:alice?secret=ABC")
    child.expect_exact("type the code")
    child.sendline("000000")
    child.expect_exact("the code is wrong")
    assert not server.enrolled
    child.sendline(CODE)
    child.expect_exact("the second factor of alice is enrolled")
    assert (child.end(), server.enrolled) == (0, True)


def test_enrolling_without_a_terminal_goes_in_two_steps(jitctl: Any, server: FakeServer) -> None:
    first_step = jitctl(
        *("mfa", "enroll", "--token", TOKEN, "--user", "alice"),
        *("--server", server.bootstrap, "--ca", server.authority.fingerprint, "-o", "json"),
    )
    assert (first_step.status, first_step.json["uri"]) == (3, "otpauth://totp/jit:alice?secret=ABC")
    assert (first_step.error["code"], server.enrolled) == ("pending", False)
    assert jitctl("mfa", "enroll", "--token", TOKEN, "--otp", "000000").status == 4
    assert not server.enrolled
    assert jitctl("mfa", "enroll", "--token", TOKEN, "--otp", CODE).status == 0
    assert server.enrolled


def test_a_wrong_token_enrols_nothing(jitctl: Any, server: FakeServer) -> None:
    refused = jitctl(
        *("mfa", "enroll", "--token", "stolen", "--user", "alice"),
        *("--server", server.bootstrap, "--ca", server.authority.fingerprint),
    )
    assert (refused.status, refused.out, server.enrolled) == (4, "", False)
