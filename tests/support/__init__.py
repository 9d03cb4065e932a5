"""Real counterparts for tests: receivers, subprocesses, locks."""
