"""Importers: other stores and formats become events, redacted and bounded, each once.

A reader (one file a format) says what a source holds; :mod:`usagetrace.importers.run` decides what is new, redacts it
and writes it. Importing this package loads no reader.
"""
