"""Lets ``python -m usagetrace.cli`` run the command line."""

from __future__ import annotations

import sys

from usagetrace.cli import main

sys.exit(main())
