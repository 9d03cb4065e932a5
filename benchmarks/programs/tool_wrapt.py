"""A command that imports wrapt."""

import wrapt  # noqa: F401 -- what it costs to import is what is measured
