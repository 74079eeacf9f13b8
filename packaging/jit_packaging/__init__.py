"""Builds the Debian packages (standard library only)."""
