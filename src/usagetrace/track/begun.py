"""Says that an operation has begun, so that one that never ends is seen.

Loaded by the first operation of which that is to be said.
"""

from __future__ import annotations

from usagetrace.semconv import SESSION_ID
from usagetrace.track.reading import put
from usagetrace.track.rows import rows_of, start_row

TYPE_CHECKING = False
if TYPE_CHECKING:
    from usagetrace.track.operation import Operation


def tell(operation: Operation) -> None:
    """Record that an operation has begun: what it becomes where nothing says that it ended.

    One that may yet turn out to be none, or that has ended already, is not told of.
    """
    runtime = operation.runtime
    ids = None if operation.plan.may_vanish or operation.instant or operation.ended else operation.ids()
    if ids is None:
        return
    attributes = operation.attributes
    if operation.session is not None and SESSION_ID not in attributes:
        attributes = attributes.copy()
        put(runtime, attributes, SESSION_ID, operation.session)
    rows = rows_of(attributes, None, operation.started_ns, 0, None, False, runtime.service_name, *ids)
    runtime.record_start(start_row(rows[0]))
