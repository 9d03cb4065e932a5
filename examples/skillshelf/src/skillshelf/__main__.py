"""``python -m skillshelf``."""

from __future__ import annotations

import sys

from skillshelf.cli import main

if __name__ == "__main__":
    sys.exit(main())
