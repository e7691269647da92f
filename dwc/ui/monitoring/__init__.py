"""Operation of the app on a server: health check, structured logs, and metrics."""
