"""A host in a temporary folder: real files, owners and modes, of which footprints are taken."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from jit_footprint import main
from jit_footprint.looking import Host
from jit_footprint.store import Store

GRANT = "gnt-0000000000000001"
OTHER = "gnt-0000000000000002"
MOUNTS = "21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw\n"
PASSWD = (
    "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1::/nonexistent:/bin/false\nalice:x:1001:1001::/home/alice:/bin/sh\n"
)


@dataclass
class World:
    """`root` is the host's "/"; paths in tests are the host's own."""

    root: Path
    host: Host
    store: Store
    folder: Path

    def at(self, path: str | bytes) -> Path:
        return self.root / os.fsdecode(path).lstrip("/")

    def write(self, path: str | bytes, text: str = "something\n", mode: int = 0o644) -> Path:
        file = self.at(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
        return file

    def link(self, path: str, target: str) -> None:
        self.at(path).parent.mkdir(parents=True, exist_ok=True)
        self.at(path).symlink_to(target)

    def rule(self, grant: str = GRANT) -> None:
        """The grant comes into force; what was there before is older than that."""
        self.tick()
        self.write(f"/run/jit/sudoers.d/{grant}")

    def tick(self) -> None:
        """Until the clock that dates files, which is a coarse one, has moved on."""
        clock = self.folder.parent / "clock"
        clock.touch()
        before = clock.stat().st_ctime_ns
        while clock.stat().st_ctime_ns == before:
            clock.touch()

    def before(self, grant: str = GRANT) -> None:
        main.before(self.host, self.store, grant)

    def after(self, grant: str = GRANT) -> dict[str, object]:
        main.after(self.host, self.store, grant)
        found: dict[str, object] = json.loads((self.folder / f"{grant}.json").read_text())
        return found

    def changes(self, grant: str = GRANT) -> set[tuple[str, str, str]]:
        """What the footprint says: path, kind, what."""
        found = self.after(grant)["changes"]
        assert isinstance(found, list)
        return {(change["path"], change["kind"], change["what"]) for change in found}


@pytest.fixture
def world(tmp_path: Path) -> World:
    root, folder = tmp_path / "root", tmp_path / "jit-footprint"
    root.mkdir()
    folder.mkdir(mode=0o750)
    made = World(root, Host.described_by(MOUNTS, root), Store(folder), folder)
    made.write("/etc/passwd", PASSWD)
    made.write("/etc/shadow", "root:*:::::::\n", mode=0o640)
    made.write("/etc/sudoers", "root ALL=(ALL) ALL\n", mode=0o440)
    made.write("/etc/sudoers.d/README", mode=0o440)
    made.write("/etc/cron.d/e2scrub_all")
    made.write("/etc/ssh/sshd_config", "UsePAM yes\n")
    made.write("/home/alice/.ssh/authorized_keys", "ssh-ed25519 AAAA alice\n", mode=0o600)
    made.write("/etc/systemd/system/nginx.service", "[Service]\n")
    made.link("/etc/systemd/system/multi-user.target.wants/nginx.service", "/etc/systemd/system/nginx.service")
    made.write("/usr/bin/su", "su", mode=0o4755)
    made.write("/usr/bin/ls", "ls", mode=0o755)
    made.tick()
    return made
