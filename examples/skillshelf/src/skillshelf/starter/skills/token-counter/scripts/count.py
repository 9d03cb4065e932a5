#!/usr/bin/env python3
"""Print words, characters and estimated tokens of each file."""

import sys
from pathlib import Path

for name in sys.argv[1:]:
    text = Path(name).read_text(encoding="utf-8", errors="replace")
    print(f"{name}: {len(text.split())} words, {len(text)} characters, about {len(text) // 4} tokens")
