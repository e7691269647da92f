"""Metrics of the app in the format of Prometheus, a monitoring system."""

from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from dwc import __version__
from dwc.search.model_pool import ModelPool
from dwc.search.query_batching import MODEL_QUEUE
from dwc.ui.gallery_images import GalleryImages
from dwc.ui.monitoring.observation import EventReport, RequestReport

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

# Upper bounds of the histograms' intervals, in seconds.
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60)


class Metrics:
    """Observer that counts and times requests, events and searches for Prometheus.

    No metric depends on a visitor's words or pictures.

    Attributes:
        registry: The collection of all metrics of this app.
    """

    def __init__(self, models: ModelPool, images: GalleryImages) -> None:
        """Create the metrics of an app.

        Args:
            models: The models.
            images: The gallery.

        Raises:
            ImportError: The package `prometheus-client` is not installed.
        """
        import prometheus_client as client

        self._client = client
        self.registry: CollectorRegistry = client.CollectorRegistry()
        client.ProcessCollector(registry=self.registry)
        client.PlatformCollector(registry=self.registry)
        client.GCCollector(registry=self.registry)

        def counter(name: str, text: str, *labels: str) -> Any:
            return client.Counter(f"dwc_{name}", text, labels, registry=self.registry)

        def histogram(name: str, text: str, *labels: str) -> Any:
            return client.Histogram(
                f"dwc_{name}", text, labels, registry=self.registry, buckets=_SECONDS
            )

        def gauge(name: str, text: str) -> Any:
            return client.Gauge(f"dwc_{name}", text, registry=self.registry)

        self._requests = counter("requests", "HTTP requests.", "method", "route", "status")
        self._request_seconds = histogram(
            "request_seconds", "Time from a request to the end of its response.", "route"
        )
        self._events = counter("events", "Calls of handlers and endpoints.", "event", "outcome")
        self._event_seconds = histogram("event_seconds", "Time that a call takes.", "event")
        self._wait_seconds = histogram(
            "event_wait_seconds", "Time from a request to the start of its call.", "event"
        )
        self._stage_seconds = histogram("stage_seconds", "Time of a search's stage.", "stage")
        gauge("gallery_pictures", "Pictures in the gallery.").set_function(lambda: len(images.ids))
        gauge("models_in_memory", "Models that are loaded now.").set_function(
            lambda: len(models.in_memory)
        )
        gauge("queries_waiting", "Queries that wait for the model.").set_function(
            lambda: len(MODEL_QUEUE)
        )
        origin = models.origin()
        client.Info("dwc_app", "The app and its default model.", registry=self.registry).info(
            {"version": __version__, "model": origin.model, "fingerprint": origin.fingerprint}
        )

    def report_request(self, report: RequestReport) -> None:
        """Count and time a finished request."""
        self._requests.labels(report.method, report.route, str(report.status)).inc()
        self._request_seconds.labels(report.route).observe(report.seconds)

    def report_event(self, report: EventReport) -> None:
        """Count and time a finished event and the stages of its searches."""
        self._events.labels(report.name, report.outcome).inc()
        self._event_seconds.labels(report.name).observe(report.seconds)
        self._wait_seconds.labels(report.name).observe(max(report.wait_seconds, 0.0))
        for stage, milliseconds in report.searches.stages_ms.items():
            self._stage_seconds.labels(stage).observe(milliseconds / 1e3)

    def render(self) -> Response:
        """Return all metrics as a response in the text format of Prometheus."""
        return Response(
            self._client.generate_latest(self.registry),
            media_type=self._client.CONTENT_TYPE_LATEST,
        )
