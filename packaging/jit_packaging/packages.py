"""The two packages: what goes into each, and where (SPEC 1.5, 1.6)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGING = REPOSITORY / "packaging"


@dataclass(frozen=True, slots=True)
class Package:
    """One .deb.  `member` is the workspace folder that holds the Python packages named in `code`."""

    name: str
    member: str
    code: tuple[str, ...]
    # Command in the file system -> "module:function" run by the package's own Python environment.
    launchers: dict[str, str]
    # Installed folder with its own __main__.py -> the one code package in it; run by the distribution's bare Python.
    stdlib_programs: dict[str, str]
    # Repository file -> installed file.
    files: dict[str, str]
    man_pages: tuple[str, ...]
    # Command whose completions are printed by the command itself.
    self_completing: tuple[str, ...]

    @property
    def venv(self) -> str:
        """Where the Python environment lives on the host."""
        return f"/usr/lib/{self.name}/venv"

    @property
    def requirements(self) -> Path:
        return PACKAGING / "requirements" / f"{self.member}.txt"

    @property
    def folder(self) -> Path:
        """`debian/` (control and maintainer scripts) and `root/` (files as they lie on the host)."""
        return PACKAGING / self.name


AGENT = Package(
    name="jit-agent",
    member="agent",
    code=("jit_agent",),
    launchers={"usr/sbin/jit-agent": "jit_agent.main:main"},
    stdlib_programs={
        "usr/lib/jit/enforcer": "jit_enforcer",
        "usr/lib/jit/footprint": "jit_footprint",
        "usr/lib/jit/cli": "jit_cli",
    },
    files={
        "packaging/bin/jit": "usr/bin/jit",
        "packaging/completions/jit.bash": "usr/share/bash-completion/completions/jit",
        "packaging/completions/jit.zsh": "usr/share/zsh/vendor-completions/_jit",
        "packaging/completions/jit.fish": "usr/share/fish/vendor_completions.d/jit.fish",
    },
    man_pages=("jit.1", "jit-agent.8"),
    self_completing=(),
)

SERVER = Package(
    name="jit-server",
    member="server",
    code=("jit_server", "jit_ctl"),
    launchers={"usr/sbin/jit-server": "jit_server.main:main", "usr/bin/jitctl": "jit_ctl.main:main"},
    stdlib_programs={},
    files={
        "packaging/etc/server.toml": "usr/share/doc/jit-server/examples/server.toml",
        "packaging/examples/policy.yaml": "usr/share/doc/jit-server/examples/policy.yaml",
        # Where editors find it that check policy files while they are written.
        "server/jit_ctl/policy.schema.json": "usr/share/jit/policy.schema.json",
    },
    man_pages=("jitctl.1", "jit-policy.5", "jit-server.8"),
    self_completing=("jitctl",),
)

PACKAGES = (AGENT, SERVER)
# The contracts are part of both packages, each with its own copy: neither depends on the other.
SHARED_MEMBER, SHARED_CODE = "protos", "jit_protos"
# Files whose mode is part of what they mean; the rest is 0644, or 0755 when executable in the tree.
MODES = {"etc/sudoers.d/zzz-jit": 0o440}
