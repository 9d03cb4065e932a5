"""Keep skills, commands and agents on a shelf, and deploy them into projects.

This package owns the shelf on disk, the copies inside projects, and how the two are brought together.
:class:`skillshelf.shelf.Shelf` is the way in for programs, :mod:`skillshelf.cli` the one for people.
"""

from __future__ import annotations

__version__ = "1.4.0"
