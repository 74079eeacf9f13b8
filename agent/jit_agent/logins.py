"""How the person who asks came onto this host: the words of the kernel and of logind, for which root vouches (S11).

The cgroup of a process says to which login it belongs: people cannot leave or enter a session's scope, which is root's.
What logind keeps of the session, PAM told it when it began.  The person's environment is never looked at: whoever sets
SSH_CONNECTION, XDG_SEAT or the like says nothing.  A process outside of any session (of cron, at or a user's own
service manager), in another person's, or in one that is over has come in a way that is not known.
"""

from __future__ import annotations

import ctypes
import functools
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from jit_agent.model import Arrival

_FIRST_PROCESS = Path("/proc/1/cgroup")
_SCOPE = re.compile(r"/user\.slice/user-([0-9]{1,10})\.slice/session-([A-Za-z0-9]{1,64})\.scope(?:/.*)?")
_SSH = frozenset({"sshd", "sshd-session"})
_CONSOLE = frozenset({
    "login", "gdm-autologin", "gdm-fingerprint", "gdm-password", "gdm-smartcard", "greetd", "lightdm",
    "lightdm-autologin", "lxdm", "sddm", "sddm-autologin", "xdm",
})  # fmt: skip
"""PAM services that only root can start, and starts for who sits at the machine."""
_PRESENT = frozenset({"active", "online"})
_UNKNOWN = Arrival()


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """What logind keeps of a session; `service` and `remote_host` are empty where PAM named none."""

    uid: int
    state: str
    service: str
    remote_host: str


def arrival(uid: int, cgroup: str, stat: str) -> Arrival:
    """How the process of this uid with this `/proc/PID/cgroup` and `/proc/PID/stat` came; both empty: unknown."""
    try:
        first = _FIRST_PROCESS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return _UNKNOWN
    session = session_of_cgroup(uid, cgroup, first)
    return _UNKNOWN if session is None else described(uid, logind_record(session), stat)


def session_of_cgroup(uid: int, cgroup: str, cgroup_of_first: str) -> str | None:
    """logind's id of the session of this person that a process with this `/proc/PID/cgroup` is in; None: in none.

    The path counts from where PID 1 has its own: deeper down people name cgroups as they like.
    """
    root = _path(cgroup_of_first).removesuffix("/init.scope")
    path = _path(cgroup)
    found = _SCOPE.fullmatch(path.removeprefix(root)) if path.startswith(root) else None
    return found[2] if found and int(found[1]) == uid else None


def described(uid: int, record: SessionRecord | None, stat: str) -> Arrival:
    """The arrival that a session stands for, of which `record` is what logind says."""
    if record is None or record.uid != uid or record.state not in _PRESENT:
        return _UNKNOWN
    source = ""
    with suppress(ValueError):
        # A name that DNS gave for the address is whatever its owner wants it to be.
        source = str(ip_address(record.remote_host))
    if record.service in _SSH:
        kind = "ssh"
    elif record.service in _CONSOLE and not record.remote_host:
        kind = "console"
    else:
        kind = "other"
    return Arrival(kind, source, has_terminal(stat))


def has_terminal(stat: str) -> bool:
    """Whether a process with this `/proc/PID/stat` has a controlling terminal."""
    # The name of the program stands in brackets, and may hold anything, brackets too.
    fields = stat.rpartition(")")[2].split()
    return len(fields) > 4 and fields[4].removeprefix("-").isdigit() and int(fields[4]) != 0


def logind_record(session: str) -> SessionRecord | None:
    """What logind keeps of the session with this id; None for one it does not know, or if it cannot be asked."""
    try:
        login = _sd_login()
    except (OSError, AttributeError):
        return None
    uid = ctypes.c_uint32()
    if login.sd_session_get_uid(session.encode(), ctypes.byref(uid)) < 0:
        return None
    state = _text(login.sd_session_get_state, session)
    return SessionRecord(
        uid.value,
        state,
        _text(login.sd_session_get_service, session),
        _text(login.sd_session_get_remote_host, session),
    )


def _path(cgroup: str) -> str:
    for line in cgroup.splitlines():
        if line.startswith("0::"):
            return line.removeprefix("0::")
    return "(none)"


@functools.cache
def _sd_login() -> ctypes.CDLL:
    """systemd's own reader of what logind keeps, sd-login(3)."""
    library = ctypes.CDLL("libsystemd.so.0")
    library.sd_session_get_uid.argtypes = [ctypes.c_char_p, ctypes.POINTER(ctypes.c_uint32)]
    library.sd_session_get_uid.restype = ctypes.c_int
    for function in (
        library.sd_session_get_state,
        library.sd_session_get_service,
        library.sd_session_get_remote_host,
    ):
        function.argtypes = [ctypes.c_char_p, ctypes.POINTER(ctypes.c_void_p)]
        function.restype = ctypes.c_int
    return library


@functools.cache
def _free() -> Callable[[ctypes.c_void_p], None]:
    function = ctypes.CDLL(None).free
    function.argtypes, function.restype = [ctypes.c_void_p], None
    return function


def _text(function: Callable[..., int], session: str) -> str:
    """One text of the session; empty if it has none."""
    text = ctypes.c_void_p()
    if function(session.encode(), ctypes.byref(text)) < 0 or text.value is None:
        return ""
    try:
        return ctypes.string_at(text.value).decode("utf-8", "replace")
    finally:
        _free()(text)
