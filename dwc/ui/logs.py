"""Structured logs: one JSON object per line on stderr.

The logs contain neither the words of searches nor the ids of their reference images, unless
`--log-queries` is given. This module imports only the standard library. So the app can load it
before the packages that take long to load, and their messages are written as JSON, too.
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

    The JSON object has the entries `time` (ISO 8601 in UTC), `level`, `logger` and `message`. If
    the record has an attribute `fields` (a dict), the entries of this dict are added. If the record
    has an exception, its traceback is added as `exception`.
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
    """Format all log messages as JSON, and set the lowest level at which this package logs.

    Args:
        level: One of `LEVELS`.
    """
    for handler in logging.getLogger().handlers:
        handler.setFormatter(JSONFormatter())
    logging.getLogger("dwc").setLevel(level.upper())


class LogReports:
    """Observer that logs finished requests and events.

    The level is info, with two exceptions. An event that fails with an unexpected error has the
    level error. A successful request for a file of the page has the level debug, because every
    visit makes dozens of such requests.
    """

    def __init__(self, with_queries: bool = False) -> None:
        """Create the observer.

        Args:
            with_queries: Whether to log the words of searches and the ids of their references.
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
