"""Every case of the fault table."""

from __future__ import annotations

from typing import Final

from faults.failpoint_cases import FAILPOINT_CASES
from faults.host_cases import HOST_CASES

CASES: Final = (*HOST_CASES, *FAILPOINT_CASES)
