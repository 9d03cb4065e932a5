"""``python -m usagetrace``: the command line."""

from usagetrace.cli import main

if __name__ == "__main__":
    main()
