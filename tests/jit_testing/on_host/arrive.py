"""Log somebody in as sshd does, from an address: `arrive.py USER ADDRESS COMMAND...`, as root on a host of a lab.

The login session is a real one, opened through PAM with the address as PAM_RHOST; the command then runs in it, with the
environment this program was given.  Exits with the command's status.
"""

import ctypes
import os
import pwd
import sys
from collections.abc import Callable

PAM_RHOST, PAM_TTY = 4, 3


class Conversation(ctypes.Structure):
    """Nobody is asked anything: the session alone is opened, nobody is authenticated."""

    _fields_ = (("function", ctypes.c_void_p), ("data", ctypes.c_void_p))


def main() -> int:
    person, address, command = sys.argv[1], sys.argv[2], sys.argv[3:]
    library = ctypes.CDLL("libpam.so.0")
    handle, conversation = ctypes.c_void_p(), Conversation(None, None)
    steps: tuple[Callable[[], int], ...] = (
        lambda: library.pam_start(b"sshd", person.encode(), ctypes.byref(conversation), ctypes.byref(handle)),
        lambda: library.pam_set_item(handle, PAM_RHOST, address.encode()),
        lambda: library.pam_set_item(handle, PAM_TTY, b"ssh"),
        lambda: library.pam_open_session(handle, 0),
    )
    for step in steps:
        if status := step():
            print(f"PAM refuses: {status}", file=sys.stderr)
            return 1
    account = pwd.getpwnam(person)
    child = os.fork()
    if not child:
        os.initgroups(person, account.pw_gid)
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
        os.execvp(command[0], command)
    _, status = os.waitpid(child, 0)
    library.pam_close_session(handle, 0)
    library.pam_end(handle, 0)
    return os.waitstatus_to_exitcode(status)


sys.exit(main())
