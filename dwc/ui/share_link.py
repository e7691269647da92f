"""Links that repeat a search: `?ref=…&text=…&shift=…&model=…`."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

from dwc.errors import QueryError
from dwc.search.model_pool import ModelPool
from dwc.search.results import shift_to_json
from dwc.ui.gallery_images import GalleryImages
from dwc.ui.request_parsing import parse_shift
from dwc.ui.state import SearchRequest


def write_link(request: SearchRequest, names_model: bool = False) -> str | None:
    """The query string that repeats a search; None for an uploaded reference.

    Args:
        request: The search.
        names_model: Whether to name the model, where there is a choice.
    """
    if request.upload is not None:
        return None
    parameters: dict[str, Any] = {}
    if request.reference_id is not None:
        parameters["ref"] = request.reference_id
    if request.words:
        parameters["text"] = request.words
    if request.shift != 0:
        parameters["shift"] = shift_to_json(request.shift)
    if names_model:
        parameters["model"] = request.model
    return urlencode(parameters)


def read_link(
    link: str, models: ModelPool, images: GalleryImages
) -> tuple[SearchRequest | None, str]:
    """Read an address's query string.

    Returns:
        The search, None where the link has neither a reference nor words; and a message for the
        page where the link names an image, a shift or a model that does not exist.
    """
    parameters: Mapping[str, str] = dict(parse_qsl(link.removeprefix("?")))
    reference_id, words = parameters.get("ref") or None, parameters.get("text") or ""
    if reference_id is None and not words:
        return None, ""
    request = SearchRequest(words, reference_id, model=models.default)
    if reference_id is not None and reference_id not in images.ids:
        message = f"The link's picture, {reference_id!r}, is not in this gallery. Choose another."
        return SearchRequest(words, model=models.default), message
    try:
        shift = parse_shift(parameters.get("shift") or 0.0)
        model = models.require(parameters.get("model"))
    except QueryError as error:
        return request, f"In the link, {error}"
    return SearchRequest(words, reference_id, model=model, shift=shift), ""
