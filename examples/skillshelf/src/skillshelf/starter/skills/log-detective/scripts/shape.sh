#!/bin/sh
# Count log lines by shape: digits become N.
sed -E 's/[0-9a-f]{8,}/ID/g; s/[0-9]+/N/g' "$1" | sort | uniq -c | sort -rn | head -50
