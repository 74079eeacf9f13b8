"""What a person is told when a build cannot go on: one line, what happened and what to do."""


class BuildError(Exception):
    """The text is the whole message."""
