"""Routes that Gradio opens and this page has no use for, closed."""

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

# Gradio fetches `/file=https://…` and `/proxy=…` for whoever asks. The page shows its own files
# alone, and must not make requests in a stranger's name.
_FETCHED = ("/file=http:", "/file=https:", "/proxy=")


class FetchNothing:
    """Answers 404 to what would make the server fetch an address."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on everything else."""
        if scope["type"] == "http":
            path = scope["path"].lower()
            if any(closed in path for closed in _FETCHED):
                refusal = PlainTextResponse("This server fetches nothing.", status_code=404)
                await refusal(scope, receive, send)
                return
        await self.app(scope, receive, send)
