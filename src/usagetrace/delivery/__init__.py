"""Delivery of what the store holds to an OTLP endpoint: who speaks to it, how long to pause, what its answers mean.

Nothing of this is loaded by a tracked call.
"""
