"""The jit command; standard library only."""
