"""Every failure in the root process is a denial, and has a code the agent may pass on (SPEC 3.4, S6).

* Denied
  x Malformed      the bytes are not what SPEC says they are
  x Unverified     no key we trust signed them
  x WrongHost      signed for another host
  x WrongBoot      signed for another boot of this host
  x WrongUser      uid and name do not belong together here
  x Expired        the time is over, or has not begun
  x Replayed       an older revision, or a grant that has ended
  x BeyondCeiling  the host's own limits do not allow it
  x Unsafe         disk, NSS, rendering, sudo's parser or systemd are not in the state we require
  x Unsuitable     this host's sudo or systemd cannot enforce grants
  x NotAdmitted    this sudo may not start

A handler that forgets a case still denies, with the code of the base class.
"""

from collections.abc import Mapping
from typing import Any, ClassVar


class Denied(Exception):
    """What was asked for is not done; the text is one line for people."""

    code: ClassVar[str] = "unsafe"
    told: Mapping[str, Any] = {}
    """What else the answer says of it."""


class Malformed(Denied):
    code = "malformed"


class Unverified(Denied):
    code = "unverified"


class WrongHost(Denied):
    code = "wrong_host"


class WrongBoot(Denied):
    code = "wrong_boot"


class WrongUser(Denied):
    code = "wrong_user"


class Expired(Denied):
    code = "expired"


class Replayed(Denied):
    code = "replayed"


class BeyondCeiling(Denied):
    code = "beyond_ceiling"


class Unsafe(Denied):
    code = "unsafe"


class Unsuitable(Denied):
    code = "unsuitable"


class NotAdmitted(Denied):
    code = "not_admitted"
