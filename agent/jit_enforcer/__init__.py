"""The host's root part: gives rights only for bytes the server signed, and takes them away."""
