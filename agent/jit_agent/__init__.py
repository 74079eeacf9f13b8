"""The host's unprivileged agent: everything that faces the network."""
