"""The verbs of `jitctl`, one module a noun; they speak only through `output`."""
