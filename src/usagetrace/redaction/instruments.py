"""RedactingMeterProvider: attributes are redacted at the instrument, before anything is aggregated.

Redacted only where they are exported, two private values would be two series until then, each with its own memory and
its own share of the cardinality limit. Here they are one from the start. What can't be redacted is not recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from opentelemetry import metrics as api

from usagetrace.guard import guard
from usagetrace.redaction import default_redactor
from usagetrace.redaction.door import Dropped
from usagetrace.redaction.metrics import redact_metric_name

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.util.types import Attributes

    from usagetrace.redaction.engine import Redactor

# Most characters of a unit, as OpenTelemetry has it.
_UNIT_LIMIT: Final = 63


class Measurements:
    """What all instruments of one provider share: the engine, and how many measurements it could not redact.

    Args:
        redactor: The engine.
    """

    def __init__(self, redactor: Redactor) -> None:
        self.redactor = redactor
        self._dropped = Dropped()

    @property
    def dropped(self) -> int:
        """How many measurements could not be redacted and were not recorded."""
        return self._dropped.count

    def passed(self, attributes: Attributes) -> tuple[bool, Attributes]:
        """Return whether a measurement may be recorded, and with which attributes."""
        try:
            # A plain mapping: the SDK copies it anyway, and what has no limits needs no bounded one.
            return True, cast("Attributes", self.redactor.attributes(attributes)) if attributes else attributes
        except Exception as error:  # noqa: BLE001 -- fail closed: what can't be redacted is not recorded
            self._dropped.add(error)
            return False, None

    def text(self, text: str | None) -> str:
        """Return a name, unit or description redacted; a word in its place where that fails."""
        try:
            return self.redactor.text(text) if text else ""
        except Exception as error:  # noqa: BLE001 -- fail closed, and the application gets its instrument all the same
            guard.note(error)
            return "redacted"

    def name(self, name: str) -> str:
        """Return the name of an instrument redacted."""
        try:
            return redact_metric_name(name, self.redactor)
        except Exception as error:  # noqa: BLE001 -- as above
            guard.note(error)
            return "redacted"

    def unit(self, unit: str) -> str:
        """Return the unit of an instrument redacted, and no longer than the SDK takes one."""
        redacted = self.text(unit)
        return redacted if redacted == unit else redacted[:_UNIT_LIMIT]

    def callback(self, callback: Any) -> Callable[[Any], Iterable[api.Observation]]:
        """Return an observable instrument's callback, a function or a generator, with redacted observations."""
        if isinstance(callback, Generator):
            # Brought to its first `yield`; from there on it is sent the options of each collection.
            next(callback)
            ask: Any = callback.send
        else:
            ask = callback

        def observe(options: Any) -> Iterable[api.Observation]:
            try:
                observations = ask(options)
            except StopIteration:
                return
            for observation in observations:
                ok, attributes = self.passed(observation.attributes)
                if ok:
                    yield api.Observation(observation.value, attributes, getattr(observation, "context", None))

        return observe


class _Adding:
    """Redacts what is added."""

    def __init__(self, inner: Any, shared: Measurements) -> None:
        # Not the base class's constructor: name and unit were checked by the instrument that is wrapped.
        self._inner = inner
        self._shared = shared

    def add(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:
        """Add an amount, with redacted attributes."""
        ok, redacted = self._shared.passed(attributes)
        if ok:
            self._inner.add(amount, redacted, context)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._inner, name)


class RedactingCounter(_Adding, api.Counter):
    """A counter whose attributes are redacted."""


class RedactingUpDownCounter(_Adding, api.UpDownCounter):
    """An up-down counter whose attributes are redacted."""


class RedactingHistogram(_Adding, api.Histogram):
    """A histogram whose attributes are redacted."""

    def record(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:
        """Record an amount, with redacted attributes."""
        ok, redacted = self._shared.passed(attributes)
        if ok:
            self._inner.record(amount, redacted, context)


class RedactingGauge(_Adding, api._Gauge):
    """A gauge whose attributes are redacted."""

    def set(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:
        """Set an amount, with redacted attributes."""
        ok, redacted = self._shared.passed(attributes)
        if ok:
            self._inner.set(amount, redacted, context)


class RedactingMeter(api.Meter):
    """Makes instruments that redact; names, units and descriptions are redacted when an instrument is made.

    Args:
        inner: The meter that records.
        shared: What all instruments of the provider share.
    """

    def __init__(self, inner: api.Meter, shared: Measurements) -> None:
        super().__init__(inner.name, inner.version, inner.schema_url)
        self._inner = inner
        self._shared = shared

    def create_counter(self, name: str, unit: str = "", description: str = "") -> api.Counter:
        """Make a counter."""
        return RedactingCounter(self._inner.create_counter(*self._named(name, unit, description)), self._shared)

    def create_up_down_counter(self, name: str, unit: str = "", description: str = "") -> api.UpDownCounter:
        """Make an up-down counter."""
        inner = self._inner.create_up_down_counter(*self._named(name, unit, description))
        return RedactingUpDownCounter(inner, self._shared)

    def create_histogram(
        self,
        name: str,
        unit: str = "",
        description: str = "",
        *,
        explicit_bucket_boundaries_advisory: Sequence[float] | None = None,
    ) -> api.Histogram:
        """Make a histogram."""
        inner = self._inner.create_histogram(
            *self._named(name, unit, description),
            explicit_bucket_boundaries_advisory=explicit_bucket_boundaries_advisory,
        )
        return RedactingHistogram(inner, self._shared)

    def create_gauge(self, name: str, unit: str = "", description: str = "") -> api._Gauge:
        """Make a gauge."""
        return RedactingGauge(self._inner.create_gauge(*self._named(name, unit, description)), self._shared)

    def create_observable_counter(
        self, name: str, callbacks: Sequence[Any] | None = None, unit: str = "", description: str = ""
    ) -> api.ObservableCounter:
        """Make an observable counter."""
        said, unit, description = self._named(name, unit, description)
        return self._inner.create_observable_counter(said, self._callbacks(callbacks), unit, description)

    def create_observable_up_down_counter(
        self, name: str, callbacks: Sequence[Any] | None = None, unit: str = "", description: str = ""
    ) -> api.ObservableUpDownCounter:
        """Make an observable up-down counter."""
        said, unit, description = self._named(name, unit, description)
        return self._inner.create_observable_up_down_counter(said, self._callbacks(callbacks), unit, description)

    def create_observable_gauge(
        self, name: str, callbacks: Sequence[Any] | None = None, unit: str = "", description: str = ""
    ) -> api.ObservableGauge:
        """Make an observable gauge."""
        said, unit, description = self._named(name, unit, description)
        return self._inner.create_observable_gauge(said, self._callbacks(callbacks), unit, description)

    def _named(self, name: str, unit: str, description: str) -> tuple[str, str, str]:
        return self._shared.name(name), self._shared.unit(unit), self._shared.text(description)

    def _callbacks(self, callbacks: Sequence[Any] | None) -> list[Any] | None:
        return None if callbacks is None else [self._shared.callback(callback) for callback in callbacks]


class RedactingMeterProvider(api.MeterProvider):
    """Give meters whose instruments redact their attributes before they are aggregated.

    Args:
        provider: The provider that records and exports.
        redactor: The engine; None takes the process's shared one.

    Everything else that the provider can do (``force_flush``, ``shutdown``) is reached through this one. A measurement
    that can't be redacted is not recorded, and counted in :attr:`dropped`.
    """

    def __init__(self, provider: api.MeterProvider, redactor: Redactor | None = None) -> None:
        self._inner = provider
        self._shared = Measurements(redactor if redactor is not None else default_redactor())

    @property
    def dropped(self) -> int:
        """How many measurements could not be redacted and were not recorded."""
        return self._shared.dropped

    def get_meter(
        self, name: str, version: str | None = None, schema_url: str | None = None, attributes: Attributes = None
    ) -> api.Meter:
        """Return a meter whose scope, instruments and measurements are redacted."""
        text = self._shared.text
        _ok, said = self._shared.passed(attributes)
        inner = self._inner.get_meter(
            text(name), version and text(version), schema_url and text(schema_url), cast("Mapping[str, Any]", said)
        )
        return RedactingMeter(inner, self._shared)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._inner, name)
