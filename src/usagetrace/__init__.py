"""What people really do with a Python tool: tracked calls, redacted, local first.

::

    from usagetrace import track

    @track.deploy
    def deploy(artifact_name, artifact_type, project_path): ...

PYTEST_DONT_REWRITE: pytest rewrites the assertions of packages that bring a plugin; it warns where such a package was
imported before it, as under opentelemetry-instrument.
"""

from usagetrace import redaction
from usagetrace.api import configure, event, flush, record_event, shutdown
from usagetrace.errors import UsageTraceError
from usagetrace.track import track
from usagetrace.version import __version__

__all__ = [
    "UsageTraceError",
    "__version__",
    "configure",
    "event",
    "flush",
    "record_event",
    "redaction",
    "shutdown",
    "track",
]
