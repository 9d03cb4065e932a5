"""OTLP, the wire format of OpenTelemetry: from requests to rows and metric points, and from rows to requests.

Nothing here opens a socket or a database, and nothing needs the SDK. The messages come with the extra ``otlp``.
"""
