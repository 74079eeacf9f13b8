"""What a grant left behind: the host is looked at before and after it, and compared (SPEC 3.6)."""
