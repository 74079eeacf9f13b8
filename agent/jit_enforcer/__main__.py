"""`python3 -I -S DIR` and `python3 -m jit_enforcer`."""

import sys

from jit_enforcer.main import main

if __name__ == "__main__":
    sys.exit(main())
