"""From metrics to the points that the store adds up.

Only this package's own metrics are kept: counters, and histograms with bounds of their own. A point is told from others
by its stream, its start and its time; the stream is named by a hash of what is left of resource, scope, metric and
attributes once they are redacted, so that nobody can try out what was private in them.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from usagetrace import semconv
from usagetrace.errors import RedactionError
from usagetrace.events import NAME_LIMIT, TEXT_LIMIT, bound_text, clean_text
from usagetrace.otlp.attributes import short
from usagetrace.otlp.faults import TooManyError
from usagetrace.otlp.lean import parse
from usagetrace.otlp.refused import Refused, RefusedError
from usagetrace.otlp.values import plain
from usagetrace.redaction.engine import free
from usagetrace.store.metrics import HISTOGRAM, SUM, MetricPoint, attributes_text, merge
from usagetrace.store.streams import ReceivedPoint
from usagetrace.track.values import bounded, cleaned, to_value

if TYPE_CHECKING:
    from usagetrace.otlp.limits import Limits
    from usagetrace.redaction.engine import Redactor

_STREAM_BYTES: Final = 16
_NS_PER_S: Final = 1_000_000_000
_DELTA: Final = 1
_CUMULATIVE: Final = 2
# The flag of a point that says only that there is no value any more.
_NO_VALUE: Final = 1
# What the store's numbers hold.
_COUNT_LIMIT: Final = 2**63
# Most attributes of a point or a resource: a series with more would never come again.
_ATTRIBUTES: Final = 256
# Most buckets of a histogram.
_BUCKETS: Final = 1000
# Longest first.
_PREFIXES: Final = (semconv.ITEM_METADATA_PREFIX, semconv.METADATA_PREFIX, semconv.PREFIX)
_KINDS: Final = ("gauge", "sum", "histogram", "exponential_histogram", "summary")


def read_points(body: bytes, redactor: Redactor, limits: Limits) -> dict[str, Any]:
    """Return the points of a request, and what became of the others, by the names that ``Decoded`` has for them.

    Args:
        body: An ``ExportMetricsServiceRequest``.
        redactor: Sees everything that is kept.
        limits: How much there may be.

    Raises:
        MalformedError: It can't be parsed.
        TooManyError: It holds more points than a request may.
    """
    request = parse(ExportMetricsServiceRequest, body)
    total = sum(len(points) for _, _, _, points in _all(request))
    if total > limits.members:
        raise TooManyError(f"a request may have {limits.members} points, not {total}")
    refused, ignored = Refused(limits.faults), 0
    found = _Found()
    resource: _Resource | None = None
    for group, scope, metric, points in _all(request):
        if scope.scope.name != semconv.SCOPE_NAME or not _is_kept(metric):
            ignored += len(points)
            continue
        try:
            if resource is None or resource.group is not group:
                resource = _Resource(group, redactor)
            stream = _Stream(resource, scope.scope, metric, redactor)
        except RedactionError:
            refused.add("a resource can't be redacted", len(points))
            continue
        except RefusedError as error:
            refused.add(str(error), len(points))
            continue
        for point in points:
            if point.flags & _NO_VALUE:
                ignored += 1
                continue
            try:
                found.add(stream.point(point), resource.raw, point)
            except RefusedError as error:
                refused.add(str(error))
            except RedactionError:
                refused.add("a value can't be redacted")
    return {
        "points": found.points(),
        "ignored": ignored,
        "rejected": refused.count,
        "reasons": refused.reasons(),
    }


def _all(request: Any) -> Iterator[tuple[Any, Any, Any, Any]]:
    """Yield each metric with its group, its scope and its points."""
    for group in request.resource_metrics:
        for scope in group.scope_metrics:
            for metric in scope.metrics:
                kind = metric.WhichOneof("data")
                if kind in _KINDS:
                    yield group, scope, metric, getattr(metric, kind).data_points


def _is_kept(metric: Any) -> bool:
    kind = metric.WhichOneof("data")
    return kind == HISTOGRAM or (kind == SUM and bool(metric.sum.is_monotonic))


class _Found:
    """The points of one request, each once."""

    def __init__(self) -> None:
        self._points: dict[tuple[bytes, int, int, bool], ReceivedPoint] = {}
        self._raw: set[tuple[Any, ...]] = set()

    def add(self, received: ReceivedPoint, around: bytes, point: Any) -> None:
        """Add a point, unless the very same one is there.

        Of two that only redaction made equal, each counts: they are joined, as on their way out of a process.
        """
        key = (received.stream, received.start_ns, received.time_ns, received.cumulative)
        raw = (*key, around, *sorted(pair.SerializeToString() for pair in point.attributes))
        if raw in self._raw:
            return
        self._raw.add(raw)
        known = self._points.get(key)
        if known is None:
            self._points[key] = received
            return
        if known.point.bounds != received.point.bounds:
            raise RefusedError("two points of one series have different buckets")
        joined = merge(known.point, received.point)
        self._points[key] = ReceivedPoint(*key, point=joined)

    def points(self) -> list[ReceivedPoint]:
        """Return them in the order in which they came."""
        return list(self._points.values())


class _Resource:
    """What the metrics of one process have in common.

    Raises:
        RedactionError: It can't be redacted.
    """

    def __init__(self, group: Any, redactor: Redactor) -> None:
        self.group = group
        attributes = _redacted(group.resource.attributes, redactor)
        service = attributes.get(semconv.SERVICE_NAME)
        self.service = "" if service is None else bound_text(str(service), NAME_LIMIT)
        self.said = attributes_text(attributes)
        # Two that only redaction made equal are two.
        self.raw = group.resource.SerializeToString(deterministic=True)


class _Stream:
    """What the points of one metric have in common.

    Raises:
        RedactionError: A name can't be redacted.
    """

    def __init__(self, resource: _Resource, scope: Any, metric: Any, redactor: Redactor) -> None:
        self._redactor = redactor
        self._service = resource.service
        # What begins behind our prefix is looked at by itself: in the middle of a word it is not always seen.
        parts = (metric.name.removeprefix(semconv.PREFIX), metric.unit)
        name, self._unit = (bound_text(redactor.text(clean_text(short(part))), NAME_LIMIT) for part in parts)
        self._name = semconv.PREFIX + name if metric.name.startswith(semconv.PREFIX) else name
        self._kind = metric.WhichOneof("data")
        self._temporality = getattr(metric, self._kind).aggregation_temporality
        self._said = json.dumps((resource.said, scope.name, scope.version, self._name, self._unit, self._kind))

    def point(self, point: Any) -> ReceivedPoint:
        """Return one point.

        Raises:
            RedactionError: Its attributes can't be redacted.
            RefusedError: It can't be added up.
        """
        if self._temporality not in (_DELTA, _CUMULATIVE):
            raise RefusedError("a metric is neither delta nor cumulative")
        if not point.time_unix_nano:
            raise RefusedError("a point has no time")
        attributes = attributes_text(_redacted(point.attributes, self._redactor))
        moment = datetime.fromtimestamp(point.time_unix_nano // _NS_PER_S, timezone.utc)
        made = MetricPoint(
            day=moment.strftime("%Y-%m-%d"),
            name=self._name,
            unit=self._unit,
            service_name=self._service,
            attributes=attributes,
            kind=self._kind,
            **(_histogram(point) if self._kind == HISTOGRAM else _number(point)),
        )
        cumulative = self._temporality == _CUMULATIVE
        said = f"{self._said}\n{cumulative}\n{attributes}"
        stream = hashlib.blake2b(said.encode(), digest_size=_STREAM_BYTES).digest()
        return ReceivedPoint(stream, point.start_time_unix_nano, point.time_unix_nano, cumulative, made)


def _redacted(pairs: Any, redactor: Redactor) -> dict[str, Any]:
    if len(pairs) > _ATTRIBUTES:
        raise RefusedError(f"a point, or its resource, has more than {_ATTRIBUTES} attributes")
    values: dict[str, Any] = {}
    for pair in pairs:
        key = _key(short(pair.key), redactor)
        if key is not None:
            taken = key != pair.key and key in values
            values[free(key, values) if taken else key] = cleaned(short(to_value(plain(pair.value))))
    return dict(bounded(dict(redactor.attributes(values)), TEXT_LIMIT))


def _key(name: str, redactor: Redactor) -> str | None:
    """Return an attribute's name with what follows our prefix redacted by itself: in the middle of a word it is not
    always seen. None where the policy leaves such a name out."""
    prefix = next((each for each in _PREFIXES if name.startswith(each)), "")
    if not prefix:
        # Looked at with its value.
        return name
    rest = name[len(prefix) :]
    redacted = redactor.key(rest)
    if redacted != rest and redactor.policy is not None and redactor.policy.mode == "drop":
        return None
    return prefix + redacted


def _number(point: Any) -> dict[str, Any]:
    kind = point.WhichOneof("value")
    value = float(getattr(point, kind)) if kind is not None else math.nan
    if not math.isfinite(value):
        raise RefusedError("a point has no finite value")
    if value < 0:
        raise RefusedError("a counter is below zero")
    return {"count": 1, "sum": value}


def _histogram(point: Any) -> dict[str, Any]:
    bounds, counts = tuple(point.explicit_bounds), tuple(point.bucket_counts)
    if not counts and not bounds:
        # All in one bucket: then neither has to be told.
        counts = (point.count,)
    if len(counts) != len(bounds) + 1 or len(counts) > _BUCKETS or sum(counts) != point.count:
        raise RefusedError("the buckets of a histogram do not fit each other, or are too many")
    if not all(map(math.isfinite, bounds)) or any(low >= high for low, high in itertools.pairwise(bounds)):
        raise RefusedError("the bounds of a histogram do not ascend")
    if point.count >= _COUNT_LIMIT or not point.HasField("sum") or not math.isfinite(point.sum):
        raise RefusedError("a histogram has no sum, or counts more than can be kept")
    return {
        "count": point.count,
        "sum": point.sum,
        "min": _known(point, "min"),
        "max": _known(point, "max"),
        "bounds": bounds,
        "bucket_counts": counts,
    }


def _known(point: Any, name: str) -> float | None:
    value = getattr(point, name) if point.count and point.HasField(name) else None
    return value if value is not None and math.isfinite(value) else None
