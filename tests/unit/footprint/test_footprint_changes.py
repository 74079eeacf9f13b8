"""What a person with root would leave for later, each beside what was there and stays (SPEC 3.6)."""

import os

import pytest

from unit.footprint.conftest import GRANT, OTHER, PASSWD, World

THIRD = "gnt-0000000000000003"

PLACES = [
    ("/etc/sudoers.d/backdoor", "sudoers"),
    ("/etc/doas.conf", "sudoers"),
    ("/etc/polkit-1/rules.d/00-me.rules", "sudoers"),
    ("/etc/jit/ceiling.toml", "sudoers"),
    ("/etc/gshadow", "account"),
    ("/etc/subuid", "account"),
    ("/etc/pam.d/sshd", "account"),
    ("/etc/security/pam_env.conf", "account"),
    ("/etc/ssh/sshd_config.d/me.conf", "keys"),
    ("/root/.ssh/authorized_keys", "keys"),
    ("/home/alice/.ssh/authorized_keys2", "keys"),
    ("/home/alice/.ssh/authorized_keys.old", "keys"),
    ("/home/alice/.ssh/rc", "keys"),
    ("/etc/crontab", "cron"),
    ("/etc/cron.daily/me", "cron"),
    ("/etc/anacrontab", "cron"),
    ("/var/spool/cron/crontabs/alice", "cron"),
    ("/var/spool/cron/atjobs/a0000101c4b2f0", "at"),
    ("/etc/systemd/system/me.service", "unit"),
    ("/etc/systemd/system/ssh.service.d/me.conf", "unit"),
    ("/run/systemd/system/me.service", "unit"),
    ("/run/systemd/transient/run-u7.timer", "unit"),
    ("/usr/lib/systemd/system/me.service", "unit"),
    ("/usr/lib/systemd/system-generators/me", "unit"),
    ("/usr/local/lib/systemd/system/me.timer", "unit"),
    ("/home/alice/.config/systemd/user/me.service", "unit"),
    ("/var/lib/systemd/linger/alice", "unit"),
    ("/etc/init.d/me", "unit"),
    ("/etc/ld.so.preload", "startup"),
    ("/etc/ld.so.conf.d/me.conf", "startup"),
    ("/etc/profile.d/me.sh", "startup"),
    ("/etc/udev/rules.d/99-me.rules", "startup"),
    ("/root/.bashrc", "startup"),
]


def test_all_that_is_added_changed_or_removed_is_named_and_nothing_else(world: World) -> None:
    for path, _ in PLACES:
        world.write(path.replace("/me", "/you"), "it stays\n")
    for grant, what in ((GRANT, "added"), (OTHER, "changed"), (THIRD, "removed")):
        for path, _ in PLACES:
            if what == "added":
                world.at(path).unlink(missing_ok=True)
            else:
                world.write(path)
        world.tick()
        world.before(grant)
        for path, _ in PLACES:
            if what == "removed":
                world.at(path).unlink()
            else:
                world.write(path, "something else\n")
        expected = {(path, kind, what) for path, kind in PLACES}
        if what == "removed":
            expected -= {change for change in expected if change[0].startswith("/run/")}
        assert world.changes(grant) == expected


def test_what_was_there_and_stays_is_not_named_even_if_its_time_moves(world: World) -> None:
    for path, _ in PLACES:
        world.write(path)
    world.tick()
    world.before()
    for path, _ in PLACES:
        os.utime(world.at(path))
    assert world.after()["changes"] == []


def test_a_new_account_a_new_password_and_keys_in_the_new_home(world: World) -> None:
    world.write("/home/mallory/.ssh/authorized_keys", "ssh-ed25519 AAAA mallory\n")
    world.tick()
    world.before()
    world.write("/etc/passwd", PASSWD + "mallory:x:0:0::/home/mallory:/bin/sh\n")
    world.write("/etc/shadow", "root:$y$j9T$:::::::\n", mode=0o640)
    assert world.changes() == {
        ("/etc/passwd", "account", "changed"),
        ("/etc/shadow", "account", "changed"),
        ("/home/mallory/.ssh", "keys", "added"),
        ("/home/mallory/.ssh/authorized_keys", "keys", "added"),
    }


def test_a_mode_or_an_owner_is_a_change(world: World) -> None:
    world.before()
    world.at("/etc/shadow").chmod(0o644)
    world.at("/etc/cron.d").chmod(0o777)
    os.chown(world.at("/etc/sudoers"), 1001, 0)
    assert world.changes() == {
        ("/etc/shadow", "account", "changed"),
        ("/etc/cron.d", "cron", "changed"),
        ("/etc/sudoers", "sudoers", "changed"),
    }


def test_setuid_and_setgid_files_come_change_and_go(world: World) -> None:
    world.before()
    world.write("/var/tmp/.hidden/sh", "bash", mode=0o4755)
    world.write("/usr/local/bin/ssh-agent", mode=0o2755)
    world.write("/home/alice/plain", mode=0o755)
    world.write("/usr/bin/su", "not su", mode=0o4755)
    assert world.changes() == {
        ("/var/tmp/.hidden/sh", "setuid", "added"),
        ("/usr/local/bin/ssh-agent", "setuid", "added"),
        ("/usr/bin/su", "setuid", "changed"),
    }


def test_a_file_that_is_setuid_no_more_is_removed_from_them(world: World) -> None:
    world.before()
    world.at("/usr/bin/su").chmod(0o755)
    assert world.changes() == {("/usr/bin/su", "setuid", "removed")}


def test_capabilities_of_a_file_count_like_setuid_even_where_it_cannot_be_run_yet(world: World) -> None:
    cap_setuid_ep = bytes.fromhex("0100000280000000000000000000000000000000")
    cap_chown_ep = bytes.fromhex("0100000201000000000000000000000000000000")
    world.write("/usr/bin/ping", mode=0o755)
    os.setxattr(world.at("/usr/bin/ping"), "security.capability", cap_chown_ep)
    world.tick()
    world.before()
    os.setxattr(world.write("/home/alice/sh", mode=0o644), "security.capability", cap_setuid_ep)
    os.setxattr(world.at("/usr/bin/ping"), "security.capability", cap_setuid_ep)
    assert world.changes() == {("/home/alice/sh", "setuid", "added"), ("/usr/bin/ping", "setuid", "changed")}


def test_a_link_counts_by_where_it_points_and_the_file_behind_it_by_what_it_says(world: World) -> None:
    world.write("/opt/tool/tool.service", "[Service]\n")
    world.link("/etc/systemd/system/tool.service", "../../../opt/tool/tool.service")
    world.link("/etc/cron.d/tool", "/opt/tool/cron")
    world.tick()
    world.before()
    world.write("/opt/tool/tool.service", "[Service]\nUser=root\n")
    world.at("/etc/cron.d/tool").unlink()
    world.link("/etc/cron.d/tool", "/opt/tool/other")
    assert world.changes() == {("/opt/tool/tool.service", "unit", "changed"), ("/etc/cron.d/tool", "cron", "changed")}


def test_a_file_has_one_kind_however_one_comes_to_it(world: World) -> None:
    world.link("/home/alice/.ssh/authorized_keys2", "/etc/shadow")
    world.tick()
    world.before()
    world.write("/etc/shadow", "root::::::::\n", mode=0o640)
    assert world.changes() == {("/etc/shadow", "account", "changed")}


def test_a_unit_that_is_enabled_counts_once_whatever_leads_to_it(world: World) -> None:
    world.before()
    world.write("/etc/systemd/system/nginx.service", "[Service]\nUser=root\n")
    assert world.changes() == {("/etc/systemd/system/nginx.service", "unit", "changed")}


def test_keys_are_looked_for_where_sshd_does(world: World) -> None:
    world.write("/etc/ssh/sshd_config", "Include /etc/ssh/sshd_config.d/*.conf /srv/ssh/*.conf\nUsePAM yes\n")
    world.write("/etc/ssh/sshd_config.d/a.conf", 'authorizedkeysfile="/srv/keys/%u" .keys/mine /srv/%Z none  # two\n')
    world.write(
        "/srv/ssh/b.conf", "Match User alice\n  AuthorizedKeysFile /srv/more/%U%%\nTrustedUserCAKeys /srv/ca.pub\n"
    )
    world.write("/srv/ssh/c.txt", "AuthorizedKeysFile /srv/never/%u\n")
    world.tick()
    world.before()
    for path in ("/srv/keys/alice", "/home/alice/.keys/mine", "/srv/more/1001%", "/srv/ca.pub", "/srv/never/alice"):
        world.write(path)
    world.write("/srv/ssh/d.conf")
    found = world.changes()
    assert {(path, what) for path, kind, what in found if kind == "keys"} == {
        ("/srv/keys/alice", "added"),
        ("/home/alice/.keys/mine", "added"),
        ("/srv/more/1001%", "added"),
        ("/srv/ca.pub", "added"),
        ("/srv/ssh/d.conf", "added"),
    }


def test_sudoers_are_followed_to_what_they_include(world: World) -> None:
    world.write("/etc/sudoers", "@includedir /etc/sudoers.d\n@includedir /srv/sudo.d\n")
    world.write("/srv/sudo.d/first", '#include "/srv/second"\n@includedir /run/jit/sudoers.d\n')
    world.tick()
    world.before()
    for path in ("/srv/sudo.d/third", "/srv/second", "/srv/fourth", "/run/jit/sudoers.d/gnt-0000000000000009"):
        world.write(path)
    assert world.changes() == {("/srv/sudo.d/third", "sudoers", "added"), ("/srv/second", "sudoers", "added")}


# As PID 1 of Debian 12 writes them for jit_enforcer.units.start_timer.
OWN_TIMER = """\
# This is a transient unit file, created programmatically via the systemd API. Do not edit.
[Unit]
Description=End of a jit grant

[Timer]
OnCalendar=2026-11-23 14:32:44.834710 UTC
AccuracySec=100ms
RemainAfterElapse=no

[Unit]
CollectMode=inactive-or-failed
"""
OWN_SERVICE = """\
# This is a transient unit file, created programmatically via the systemd API. Do not edit.
[Unit]
Description=End of a jit grant

[Service]
Type=oneshot
ExecStart=
ExecStart=-"/usr/bin/systemctl" "stop" "jit-gnt-0000000000000003-r2.scope"

[Unit]
CollectMode=inactive-or-failed
"""


def test_units_of_grants_and_scopes_are_no_leftovers_but_what_borrows_their_name_is(world: World) -> None:
    transient = "/run/systemd/transient"
    world.at(transient).mkdir(parents=True)
    world.before()
    world.write(f"{transient}/session-4.scope")
    world.write(f"{transient}/kubepods.slice")
    world.write(f"{transient}/jit-gnt-0000000000000003-r2.scope")
    world.write(f"{transient}/jit-gnt-0000000000000003-r2-end.timer", OWN_TIMER)
    world.write(f"{transient}/jit-gnt-0000000000000003-r2-end.service", OWN_SERVICE)
    assert world.after()["changes"] == []


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        ("service", OWN_SERVICE.replace("/usr/bin/systemctl", "/bin/sh")),
        ("service", OWN_SERVICE.replace("-r2.scope", "-r3.scope")),
        ("service", OWN_SERVICE + "ExecStart=/bin/sh\n"),
        ("service", OWN_SERVICE + " ExecStartPost = /bin/sh\n"),
        ("service", OWN_SERVICE + "OnSuccess=debug-shell.service\n"),
        ("timer", OWN_TIMER + "Unit=debug-shell.service\n"),
        ("timer", ""),
    ],
)
def test_what_borrows_the_name_of_a_grants_unit_is_a_leftover(world: World, type_: str, text: str) -> None:
    path = f"/run/systemd/transient/jit-gnt-0000000000000003-r2-end.{type_}"
    world.at(path).parent.mkdir(parents=True)
    world.before()
    world.write(path, text)
    assert world.changes() == {(path, "unit", "added")}


def test_what_is_gone_from_run_is_not_missed_but_what_came_is_named(world: World) -> None:
    """A reboot empties /run, and a transient unit goes when it is over."""
    for path in ("/run/systemd/transient/run-u1.service", "/etc/cron.d/me"):
        world.write(path)
    world.tick()
    world.before()
    for path in ("/run/systemd/transient/run-u1.service", "/etc/cron.d/me"):
        world.at(path).unlink()
    world.write("/run/systemd/transient/run-u2.timer")
    assert world.changes() == {
        ("/etc/cron.d/me", "cron", "removed"),
        ("/run/systemd/transient/run-u2.timer", "unit", "added"),
    }


def test_more_than_fits_is_cut_from_the_end_of_the_list_of_dangers(world: World) -> None:
    world.before()
    for number in range(250):
        world.write(f"/etc/profile.d/{number:03}.sh")
    world.write("/var/tmp/sh", mode=0o4755)
    found = world.after()
    changes = found["changes"]
    assert isinstance(changes, list)
    assert found["truncated"] is True
    assert len(changes) == 200
    assert changes[0] == {"path": "/var/tmp/sh", "kind": "setuid", "what": "added"}


def test_a_list_that_just_fits_is_whole(world: World) -> None:
    world.at("/etc/profile.d").mkdir()
    world.before()
    for number in range(200):
        world.write(f"/etc/profile.d/{number:03}.sh")
    assert world.after()["truncated"] is False
    assert len(world.changes()) == 200


def test_digests_do_not_help_who_guesses(world: World) -> None:
    """Two hosts with the same file do not have the same digest of it."""
    world.before()
    first = world.store.baseline("gnt-0000000000000001")
    (world.folder / "key").unlink()
    world.before("gnt-0000000000000002")
    second = world.store.baseline("gnt-0000000000000002")
    assert first is not None
    assert second is not None
    assert first.snapshot is not None
    assert second.snapshot is not None
    assert first.snapshot.entries["/etc/shadow"].content != second.snapshot.entries["/etc/shadow"].content
