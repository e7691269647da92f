"""Structured logs: one JSON object per line on stderr.

Logs have no words and no names of pictures, unless the operator of the server asks for them. This
module imports only the standard library, so that logs are structured from the start.
"""

import json
import logging
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dwc.ui.monitoring import EventReport, RequestReport

LEVELS = ("debug", "info", "warning", "error")
"""The values of the option `--log-level`."""

logger = logging.getLogger("dwc.ui.monitoring")


class JSONFormatter(logging.Formatter):
    """Formatter that writes a log record as one line of JSON.

    The object has the entries `time` (ISO 8601 in UTC), `level`, `logger` and `message`, the
    record's `fields` if it has such an attribute, and `exception` (a traceback) if there is one.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return a log record as JSON."""
        time = datetime.fromtimestamp(record.created, timezone.utc)
        entry: dict[str, Any] = {
            "time": time.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


def configure_logs(level: str) -> None:
    """Make all log messages JSON, and let those of this package from a level on be written.

    Args:
        level: One of `LEVELS`.
    """
    for handler in logging.getLogger().handlers:
        handler.setFormatter(JSONFormatter())
    logging.getLogger("dwc").setLevel(level.upper())


class LogReports:
    """Observer that logs finished requests and events.

    Events are logged at the level info; those that fail with an unexpected error at the level
    error. Requests are logged at the level info, and those for files of the page at the level
    debug, since every visit makes dozens of them.
    """

    def __init__(self, with_queries: bool = False) -> None:
        """Create the observer.

        Args:
            with_queries: Whether to log the words and the gallery pictures of searches.
        """
        self._with_queries = with_queries

    def report_request(self, report: "RequestReport") -> None:
        """Log a finished request."""
        fields = {
            "request": report.id,
            "method": report.method,
            "route": report.route,
            "status": report.status,
            "ms": _milliseconds(report.seconds),
        }
        is_file = report.route in _FILE_ROUTES and report.status < 400
        logger.log(logging.DEBUG if is_file else logging.INFO, "request", extra={"fields": fields})

    def report_event(self, report: "EventReport") -> None:
        """Log a finished event."""
        fields: dict[str, Any] = {
            "request": report.request_id,
            "event": report.name,
            "outcome": report.outcome,
            "wait_ms": _milliseconds(report.wait_seconds),
            "ms": _milliseconds(report.seconds),
        }
        if report.error:
            fields["error"] = report.error
        searches = report.searches
        if searches.stages_ms:
            fields["stages_ms"] = {name: round(ms, 1) for name, ms in searches.stages_ms.items()}
        if self._with_queries and searches.words is not None:
            fields["words"], fields["reference"] = searches.words, searches.reference_id
        level = logging.ERROR if report.outcome == "failed" else logging.INFO
        logger.log(level, "event", extra={"fields": fields})


_FILE_ROUTES = (
    "/assets",
    "/static",
    "/svelte",
    "/theme.css",
    "/gradio.js",
    "/manifest.json",
    "/favicon.ico",
    "/gradio_api/file",
    "/gradio_api/large",
    "/gradio_api/heartbeat",
    "/api/picture",
    "/health",
    "/metrics",
)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1e3, 1)
