"""`python3 -I -S DIR before-GRANT` and `python3 -m jit_footprint`."""

import sys

from jit_footprint.main import main

if __name__ == "__main__":
    sys.exit(main())
