"""``python -m usagetrace``: the command line."""

import sys

from usagetrace.cli import main

if __name__ == "__main__":
    sys.exit(main())
