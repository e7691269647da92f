"""Large versions of the gallery's pictures, which the page shows in a dialog."""

from functools import lru_cache
from io import BytesIO
from urllib.parse import parse_qs, quote

from anyio import CapacityLimiter, to_thread
from PIL import Image
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from dwc.errors import ImageError
from dwc.ui.gallery_images import GalleryImages

LARGE_PX = 1280
"""Maximum width and height of a large picture, in pixels."""

_DRAWN_PX = 768  # drawing takes as long as there are pixels
_ROUTE = "gradio_api/large"
_THREADS = 2  # each holds one decoded picture
_CACHED = 32  # encoded pictures, each of a few hundred kB
_QUALITY = 85
_MAX_AGE_SECONDS = 600


def large_url(image_id: str) -> str:
    """Return the relative URL of a picture's large version."""
    return f"{_ROUTE}?id={quote(image_id, safe='')}"


class LargePictures:
    """Middleware that serves the large version of a gallery picture, by the picture's id.

    The picture is decoded and encoded again, so that no metadata of the file is sent, such as the
    location of a photograph.
    """

    def __init__(self, app: ASGIApp, images: GalleryImages) -> None:
        self.app, self.images = app, images
        self._threads = CapacityLimiter(_THREADS)
        self._read = lru_cache(_CACHED)(self._encode)  # errors are not remembered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer requests for large pictures; forward all others.

        The status is 404 if there is no picture with the id, and 410 if its file is gone.
        """
        if scope["type"] != "http" or not scope["path"].endswith(f"/{_ROUTE}"):
            await self.app(scope, receive, send)
            return
        query = parse_qs(scope["query_string"].decode("latin-1"))
        image_id = query.get("id", [""])[0]
        response: Response
        try:
            content = await to_thread.run_sync(self._read, image_id, limiter=self._threads)
        except KeyError:
            response = PlainTextResponse("The gallery has no such picture.", status_code=404)
        except ImageError:
            response = PlainTextResponse("The picture is gone.", status_code=410)
        else:
            headers = {"Cache-Control": f"private, max-age={_MAX_AGE_SECONDS}"}
            response = Response(content, media_type="image/webp", headers=headers)
        await response(scope, receive, send)

    def _encode(self, image_id: str) -> bytes:
        picture = self.images.open_large(image_id, _DRAWN_PX).convert("RGB")
        picture.thumbnail((LARGE_PX, LARGE_PX), Image.Resampling.LANCZOS)
        file = BytesIO()
        picture.save(file, "WEBP", quality=_QUALITY)
        return file.getvalue()
