"""The server: what listens on a port, now the OTLP receiver.

An application of routes over one state; how a request becomes events is :mod:`usagetrace.otlp`'s, how they are stored
once is :mod:`usagetrace.store`'s. Nothing of it is loaded by a tracked call. It needs the extra ``server``.
"""
