"""One module a step, in order; released ones never change."""
