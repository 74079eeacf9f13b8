"""The host's unprivileged agent: everything that faces the network."""

from importlib import metadata

__version__ = metadata.version("jit-agent")
