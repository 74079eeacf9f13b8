"""`python -m jit_ctl` is `jitctl`."""

from .main import main

main()
