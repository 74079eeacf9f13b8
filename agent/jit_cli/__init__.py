"""The jit command; standard library only."""

VERSION = "0.1.0"
