"""Where somebody with root would leave something for later (SPEC 3.6): the list that decides what a footprint can see.

Everything here is small, rarely changes by itself, and gives rights or is run by root without being asked.
"""

import posixpath
import re
from dataclasses import dataclass
from typing import Final

from jit_footprint.snapshot import Kind


@dataclass(frozen=True, slots=True)
class Place:
    """A file or folder; `depth`: how many levels of a folder count.  Of a folder with `names` only those count."""

    kind: Kind
    path: str
    depth: int = 0
    names: re.Pattern[str] | None = None


def _each(kind: Kind, folder: str, names: str, depth: int = 0) -> tuple[Place, ...]:
    return tuple(Place(kind, posixpath.join(folder, name), depth) for name in names.split())


_UNIT_NAMES: Final = re.compile(r".+\.(service|timer|socket|path|target|mount|automount|slice|conf|d|wants|requires)")
# The spool's own counter: it moves with every job, which is seen by itself.
_AT_JOBS: Final = re.compile(r"[^.].*")

# All of them; but the folder's own time moves with each login and each grant.
_TRANSIENT: Final = re.compile(r".+", re.DOTALL)

HOST: Final[tuple[Place, ...]] = (
    # Who may become whom: sudo, its like, and jit's own trust and ceiling.
    *_each("sudoers", "/etc", "sudoers sudo.conf sudo_logsrvd.conf doas.conf"),
    *_each("sudoers", "/etc", "sudoers.d doas.d jit polkit-1", depth=3),
    *_each("sudoers", "/usr/share/polkit-1", "rules.d actions", depth=1),
    *_each("sudoers", "/var/lib", "polkit-1", depth=4),
    # Who exists, and how they prove it.
    *_each("account", "/etc", "passwd group shadow gshadow subuid subgid nsswitch.conf login.defs pam.conf"),
    *_each("account", "/etc", "pam.d security sssd", depth=2),
    # Who comes in over the network; people's own keys are added for each account.
    Place("keys", "/etc/ssh", depth=2),
    *_each("cron", "/etc", "crontab anacrontab cron.allow cron.deny"),
    *_each("cron", "/etc", "cron.d cron.hourly cron.daily cron.weekly cron.monthly cron.yearly incron.d", depth=1),
    *_each("cron", "/var/spool", "cron incron", depth=1),
    *_each("cron", "/var/spool/cron", "crontabs tabs", depth=1),
    *_each("at", "/etc", "at.allow at.deny"),
    Place("at", "/var/spool/cron/atjobs", depth=1, names=_AT_JOBS),
    Place("at", "/var/spool/at", depth=1, names=_AT_JOBS),
    # What systemd, init or the bus start as root, or for every user.
    Place("unit", "/etc/systemd", depth=4),
    *_each("unit", "/run/systemd", "system system.control system-generators", depth=3),
    Place("unit", "/run/systemd/transient", depth=3, names=_TRANSIENT),
    *_each("unit", "/usr/local/lib", "systemd", depth=4),
    *(
        place
        for folder in ("/usr/lib/systemd", "/lib/systemd")
        for place in _each(
            "unit",
            folder,
            "system user system-generators user-generators system-environment-generators user-environment-generators "
            "system-shutdown system-sleep",
            depth=3,
        )
    ),
    *_each("unit", "/usr", "local/share/systemd/user share/systemd/user", depth=3),
    *_each(
        "unit", "/etc", "init.d rc0.d rc1.d rc2.d rc3.d rc4.d rc5.d rc6.d rcS.d xinetd.d xdg/systemd dbus-1", depth=3
    ),
    *_each("unit", "/etc", "inittab inetd.conf rc.local"),
    *_each("unit", "/usr/share/dbus-1", "system-services system.d", depth=1),
    *_each("unit", "/var/lib/systemd", "linger", depth=1),
    # What is loaded or run in every program, at every login, start of the host, package or log rotation.
    *_each("startup", "/etc", "ld.so.preload ld.so.conf profile bash.bashrc bashrc environment fstab crypttab modules"),
    *_each("startup", "/etc", "zshenv zprofile zshrc zlogin csh.cshrc csh.login sysctl.conf logrotate.conf"),
    *_each("startup", "/etc", "ld.so.conf.d profile.d environment.d zsh fish X11/Xsession.d update-motd.d", depth=3),
    *_each(
        "startup", "/etc", "udev/rules.d modprobe.d modules-load.d sysctl.d binfmt.d tmpfiles.d sysusers.d", depth=1
    ),
    *_each("startup", "/etc", "apt/apt.conf.d dpkg/dpkg.cfg.d dnf yum kernel initramfs-tools logrotate.d", depth=3),
    *_each("startup", "/etc", "network NetworkManager/dispatcher.d dhcp ppp", depth=3),
)

KEYS_AT_HOME: Final = (
    Place("keys", ".ssh/authorized_keys"),
    Place("keys", ".ssh/authorized_keys2"),
    Place("keys", ".ssh/rc"),
    Place("keys", ".ssh", depth=1, names=re.compile(r"authorized_keys.*", re.DOTALL)),
    Place("keys", ".k5login"),
)
UNITS_AT_HOME: Final = (
    Place("unit", ".config/systemd/user", depth=2, names=_UNIT_NAMES),
    Place("unit", ".local/share/systemd/user", depth=2, names=_UNIT_NAMES),
)
# Only of accounts with uid 0: others' are their own affair.
STARTUP_AT_HOME: Final = (
    *_each("startup", "", ".profile .bash_profile .bash_login .bash_logout .bashrc .kshrc .config/fish/config.fish"),
    *_each("startup", "", ".zshenv .zprofile .zshrc .zlogin .cshrc .tcshrc .login .pam_environment"),
)
