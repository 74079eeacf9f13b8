"""What people put in the way of a root program that looks into their homes: it is neither led, nor held, nor hurt."""

import fcntl
import os
import signal
from collections.abc import Iterator

import pytest

from jit_footprint import gathering, walking
from jit_footprint.comparing import shown
from jit_footprint.looking import Host
from unit.footprint.conftest import MOUNTS, OTHER, World

KEYS = "/home/alice/.ssh/authorized_keys"


def bob_has_keys(world: World) -> None:
    """Somebody else, whose new key has to be seen whatever alice's home is like."""
    with world.at("/etc/passwd").open("a") as passwd:
        passwd.write("bob:x:1002:1002::/home/bob:/bin/sh\n")
    world.at("/home/bob/.ssh").mkdir(parents=True)
    world.tick()


BOB = ("/home/bob/.ssh/authorized_keys", "keys", "added")


def fifo(world: World) -> None:
    world.at(KEYS).unlink()
    os.mkfifo(world.at(KEYS))


def device(world: World) -> None:
    world.at(KEYS).unlink()
    world.link(KEYS, "/dev/zero")


def loop(world: World) -> None:
    world.at(KEYS).unlink()
    world.link(KEYS, "authorized_keys")


def long_way_up(world: World) -> None:
    world.at(KEYS).unlink()
    world.link(KEYS, "x/../" * 800 + "authorized_keys")


def huge(world: World) -> None:
    with world.at(KEYS).open("ab") as file:
        file.truncate(10 << 30)


def folder(world: World) -> None:
    world.at(KEYS).unlink()
    world.write(f"{KEYS}/{'d/' * 200}x")


def many(world: World) -> None:
    for number in range(gathering._ENTRIES_AT_HOME + 10):
        world.write(f"/home/alice/.ssh/authorized_keys{number}")


def home_is_root(world: World) -> None:
    passwd = world.at("/etc/passwd")
    passwd.write_text(passwd.read_text().replace("/home/alice", "/"))


def home_is_no_path(world: World) -> None:
    passwd = world.at("/etc/passwd")
    passwd.write_text(passwd.read_text().replace("/home/alice", "/home/../../\0x") + ":::\nx:y:z:0::home:sh\n\n")


@pytest.mark.parametrize(
    "trick",
    [fifo, device, loop, long_way_up, huge, folder, many, home_is_root, home_is_no_path],
    ids=lambda t: t.__name__,
)
@pytest.mark.timeout(20)
def test_a_hostile_home_hides_nothing_of_anybody_elses(world: World, trick: object) -> None:
    bob_has_keys(world)
    assert callable(trick)
    trick(world)
    world.tick()
    world.before()
    world.write(BOB[0])
    assert world.changes() == {BOB}


def test_a_file_that_is_too_large_to_read_still_shows_that_it_was_written(world: World) -> None:
    huge(world)
    world.tick()
    world.before()
    with world.at(KEYS).open("r+b") as file:
        file.write(b"ssh-ed25519 BBBB")
    assert world.changes() == {(KEYS, "keys", "changed")}


@pytest.fixture
def sigio_ignored() -> Iterator[None]:
    handler = signal.signal(signal.SIGIO, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGIO, handler)


@pytest.mark.usefixtures("sigio_ignored")
@pytest.mark.timeout(20)
def test_a_lease_on_a_file_holds_nobody_up(world: World) -> None:
    """fcntl(2), "Leases": who opens the file without O_NONBLOCK waits for lease-break-time, 45 seconds."""
    with world.at(KEYS).open("r+") as file:
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        world.before()
        assert world.after()["changes"] == []


def test_links_are_followed_to_keys_but_nowhere_out_of_the_host(world: World) -> None:
    world.write("/opt/keys/authorized_keys")
    world.write("/srv/outside")
    world.at(KEYS).unlink()
    world.at("/home/alice/.ssh").rmdir()
    world.link("/home/alice/.ssh", "../../../../../../../opt/keys")
    world.tick()
    world.before()
    world.write("/opt/keys/authorized_keys", "ssh-ed25519 BBBB\n")
    assert world.changes() == {("/opt/keys/authorized_keys", "keys", "changed")}


@pytest.mark.parametrize("type_", ["fuse.sshfs", "nfs4", "autofs", "something-new"])
def test_what_somebody_else_would_have_to_answer_for_is_never_entered(world: World, type_: str) -> None:
    foreign = (
        f"{MOUNTS}22 21 0:50 / /home/alice/.ssh rw - {type_} remote rw\n23 21 0:51 / /mnt rw - {type_} remote rw\n"
    )
    for table, expected in ((MOUNTS, {(KEYS, "keys", "changed"), ("/mnt/sh", "setuid", "added")}), (foreign, set())):
        world.host = Host.described_by(table, world.root)
        grant = f"gnt-000000000000000{len(expected)}"
        world.at("/mnt").mkdir(exist_ok=True)
        world.at("/mnt/sh").unlink(missing_ok=True)
        world.before(grant)
        world.write(KEYS, f"ssh-ed25519 {grant}\n")
        world.write("/mnt/sh", mode=0o4755)
        assert world.changes(grant) == expected


def test_more_setuid_files_of_one_person_than_counted_hide_no_root_shell(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walking, "_FILES_OF_ONE_OWNER", 10)
    for number in range(30):
        os.chown(world.write(f"/home/alice/bin/{number:02}"), 1001, 1001)
        world.at(f"/home/alice/bin/{number:02}").chmod(0o4755)
    world.tick()
    world.before()
    world.write("/home/alice/bin/zz", mode=0o4755)
    assert world.changes() == {("/home/alice/bin/zz", "setuid", "changed")}
    assert world.after()["truncated"] is True


def test_more_files_in_a_home_than_are_looked_at_are_told_of(world: World) -> None:
    world.before()
    assert world.after()["truncated"] is False
    many(world)
    world.before(OTHER)
    assert world.after(OTHER)["truncated"] is True


def test_folders_deeper_than_walked_are_told_of(world: World) -> None:
    deep = "/srv" + "/d" * 90
    world.write(f"{deep}/sh", mode=0o4755)
    world.tick()
    world.before()
    assert world.after()["truncated"] is False
    world.write(f"{deep}{deep}/sh", mode=0o4755)
    world.before(OTHER)
    assert world.after(OTHER)["truncated"] is True


def test_a_walk_that_takes_too_long_says_so_and_guesses_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.before()
    world.write("/etc/cron.d/me")
    with monkeypatch.context() as slow:
        slow.setattr("jit_footprint.looking._WALK_S", -1)
        found = world.after()
    assert found["changes"] == [{"path": "/etc/cron.d/me", "kind": "cron", "what": "added"}]
    assert found["truncated"] is True


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"two\nlines", r"two\x0alines"),
        (b"\x1b]0;title\x07", r"\x1b]0;title\x07"),
        (b"not utf-8 \xff\xfe", r"not utf-8 \xff\xfe"),
        ("\u202egnp.exe".encode(), r"\u202egnp.exe"),
        ("später".encode(), "später"),
        (b'quote"and\\back', 'quote"and\\back'),
    ],
)
def test_names_are_shown_as_one_line_of_text_whatever_they_are(world: World, name: bytes, text: str) -> None:
    """S12."""
    world.before()
    world.write(b"/etc/sudoers.d/" + name)
    assert world.changes() == {(f"/etc/sudoers.d/{text}", "sudoers", "added")}
    (world.folder / "gnt-0000000000000001.json").read_text().encode("ascii")


def test_a_long_path_loses_its_middle() -> None:
    text = shown("/etc/" + "ü" * 4_000 + "/end")
    assert len(text.encode()) <= 900
    assert text.startswith("/etc/ü")
    assert "…" in text
    assert text.endswith("ü/end")
    assert shown("/etc/short") == "/etc/short"
