"""Tracking without touching a tool. Uses the OpenTelemetry API and wrapt only."""
