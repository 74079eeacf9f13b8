"""The contracts between host, server and people; see SPEC.md."""
