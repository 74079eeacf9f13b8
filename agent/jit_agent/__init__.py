"""The host's unprivileged agent: everything that faces the network."""

# A constant: importlib.metadata would keep the e-mail and zip libraries in the agent's memory.
__version__ = "0.1.0"
