"""The rules, pure: no clock, no randomness, no I/O; time and random bytes are arguments."""
