"""Recordings of sessions: read, shown in a terminal, and written to files (SPEC 8.2, 8.7)."""
