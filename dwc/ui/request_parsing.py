"""Conversion of a query from a browser or an API client to the arguments of a `Searcher`.

All inputs are checked here. Invalid input raises a `DWCError` with a message for the sender.

Links that repeat a search have the form `?ref=…&text=…&shift=…&model=…&filter=…&content=…`. `ref`
is the id of the reference in the gallery; its name in the API, `reference_id`, is also accepted.
`shift` is the weight shift: the number added to the logit of each stream's image weight. `content`
is the digest of the reference's content. It may be omitted; if it is given, a picture with another
content is not used. Upper and lower case are not distinguished in the names and the digest.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote_plus, urlencode

from gradio import EventData
from gradio_client.utils import is_file_obj_with_meta
from PIL import Image

from dwc.datasets.image_loading import decode
from dwc.errors import ImageError, QueryError, quote
from dwc.gallery.filters import format_filter, parse_filter
from dwc.gallery.store import match_id
from dwc.modeling.text_cleaning import decode_url_text
from dwc.search.model_pool import ModelPool
from dwc.search.query import EncodedQuery
from dwc.search.reference_weights import ReferenceWeights
from dwc.search.results import NearDuplicates, SearchResult, shift_to_json
from dwc.search.weight_sweep import WeightSweep
from dwc.ui.gallery_images import DIGEST_LENGTH, GalleryImages, find_shown, is_digest
from dwc.ui.state import SearchRequest
from dwc.ui.uploads import describe_refusal, is_in_upload_folder, is_inside, read_upload

MAX_CHARACTERS = 1000
"""The maximum number of characters of a text; models process far fewer."""


MAX_RESULTS = 200
"""The maximum of `k`, the number of results, in requests to the API."""

DEFAULT_RESULTS = 12
"""The default of `k`, the number of results, in requests to the API."""

_TYPED_NAMES = ("ref", "text", "shift", "model", "filter")  # those that a person may write
_LINK_NAMES = (*_TYPED_NAMES, "content")
_SYNONYMS = {"reference_id": "ref"}
_MAX_NAMED = 5  # names of parameters in a message

# Parameters that are not for the page: Gradio's own, those of hosts (such as Spaces and notebooks),
# and those that mail programs, social networks and advertisements add to count visits.
_FOREIGN_NAME = re.compile(
    r"_.*|(utm|mc|pk|piwik|mtm|matomo|hsa|ga|oly)_.*|view|deep_link|write_token|logs|authuser|"
    r"[a-z]+clk?id|gclsrc|[gw]braid|igsh|igshid|srsltid|epik|li_fat_id|mkt_tok|vero_id|ref_(src|url)",
    re.IGNORECASE,
)

MAX_DEPTH = 32
"""The maximum depth of nested lists and objects in a request."""

FileData = Mapping[str, Any]
"""A file in Gradio's format: a dict whose entry `path` is the file's path on the server."""


class SearchEngine(Protocol):
    """Interface for running queries; `dwc.search.searcher.Searcher` implements it."""

    reference_weights: ReferenceWeights | None
    near_duplicates: NearDuplicates

    def encode_query(
        self,
        image: Image.Image | None = None,
        text: str = "",
        reference_id: str | None = None,
        *,
        filter: str = "",
    ) -> EncodedQuery:
        """Encode a query; raise `QueryError` if it has neither an image nor a text."""

    def answer(
        self,
        query: EncodedQuery,
        k: int = 12,
        shift: float = 0.0,
        sweep: WeightSweep | None = None,
        fold: bool = False,
    ) -> SearchResult:
        """Return the `k` best images for an encoded query.

        Args:
            query: The encoded query.
            k: The number of results, 1 or more.
            shift: Number added to the logit of every stream's image weight. Positive values favor
                the image, negative values the text.
            sweep: The return value of the method `sweep` for this query, if it was called before.
            fold: Whether near-duplicates are hidden under the better-ranked image.
        """

    def sweep(self, query: EncodedQuery) -> WeightSweep:
        """Return an object that has the gallery's scores for a query at any image weight."""


def run_search(
    searcher: SearchEngine,
    images: GalleryImages,
    reference: FileData | None,
    text: str | None,
    k: object = DEFAULT_RESULTS,
    shift: object = 0.0,
    fold: object = False,
    filter: object = "",
) -> SearchResult:
    """Check the input from a browser or an API client, run the search, and return the result.

    Args:
        searcher: The object that runs the search.
        images: The gallery.
        reference: The file of the reference image, not decoded yet; None for a search by text.
        text: The modification text; None or empty for a search by image.
        k: The number of results.
        shift: Number added to the logit of each stream's image weight.
        fold: Whether near-duplicates are hidden under the better-ranked image.
        filter: A condition on the metadata of the results, as text; None or empty for none.

    Raises:
        QueryError: There is neither a reference nor a text, the text is too long, or `k`, `shift`,
            `fold` or `filter` is invalid.
        ImageError: The reference cannot be read.
    """
    is_folded = parse_switch(fold, "fold")
    condition = parse_string(filter, "filter")
    query = searcher.encode_query(**parse_query(images, reference, text), filter=condition)
    return searcher.answer(query, parse_count(k), parse_shift(shift), fold=is_folded)


def parse_query(
    images: GalleryImages, reference: FileData | None, text: str | None
) -> dict[str, Any]:
    """Convert the input from a browser to arguments of `SearchEngine.encode_query`.

    Args:
        images: The gallery.
        reference: The file of the reference image, not decoded yet; None for a search by text.
        text: The modification text; None or empty for a search by image.

    Returns:
        The arguments `image`, `text` and `reference_id` by name.

    Raises:
        QueryError: There is neither a reference nor a text, or the text is not a string or too
            long.
        ImageError: The reference cannot be read.
    """
    words = parse_string(text, "text").strip()
    if reference is None and not words:
        raise QueryError("There is nothing to search yet: choose a picture, type words, or both.")
    if len(words) > MAX_CHARACTERS:
        raise QueryError(
            f"The words have {len(words):,} characters; at most {MAX_CHARACTERS:,} are read. "
            "Shorten them to what should be different."
        )
    image, reference_id = parse_reference(reference, images)
    return {"image": image, "text": words, "reference_id": reference_id}


def parse_reference(
    reference: FileData | None, images: GalleryImages
) -> tuple[Image.Image | None, str | None]:
    """Return the reference as a decoded image, or as an id if it is an image of the gallery.

    For a reference from the gallery, the browser sends the file of its thumbnail.

    Returns:
        For an uploaded reference, its decoded image and None. For a reference from the gallery,
        None and its id. Without a reference, None and None.

    Raises:
        ImageError: The request has no file, or the file was not uploaded to this server or is not a
            readable image.
    """
    if reference is None:
        return None, None
    path = reference.get("path") if isinstance(reference, Mapping) else None
    if not isinstance(path, str) or not path:
        raise ImageError("The picture did not arrive. Choose it again.")
    if (image_id := images.id_of(path)) is not None:
        return None, image_id
    try:
        # Decoded from bytes, so that no error message shows where uploads are stored.
        return decode(read_upload(path)), None
    except ImageError as error:
        raise ImageError(str(error).replace("the picture given: ", "The picture ")) from error


def get_attribute(event: EventData, name: str) -> Any:
    """Return the value with this name that the browser sent with an event; None if there is none.

    Raises:
        QueryError: The value is nested too deeply, or has a text that cannot be encoded.
        ImageError: The value is a file in Gradio's format for files, but not an uploaded file.
    """
    try:
        value = getattr(event, name, None)
    except TypeError:  # the event has no data, or data that is not a dict
        return None
    check_values([value], image_folder=None)
    return value


def check_values(values: Iterable[Any], image_folder: Path | None) -> None:
    """Check the values that a request sends to an event handler or an endpoint.

    If a value has the form of Gradio's file objects, Gradio opens or downloads the file. So this
    function accepts file objects only if they name an upload or a thumbnail.

    Args:
        values: The values, as parsed from JSON.
        image_folder: The folder with the gallery's thumbnails. Requests may name files in this
            folder and uploads; if it is None, requests may name uploads only.

    Raises:
        QueryError: A value is nested too deeply, or a text has characters that cannot be encoded.
        ImageError: A value names a web address, or a file that is neither an upload nor a
            thumbnail.
    """
    for value in _iterate(values):
        if isinstance(value, str):
            check_text(value)
        elif _has_broken_meta(value):
            raise ImageError("The picture is not described as uploads are. Choose it again.")
        elif is_file_obj_with_meta(value):
            path = value["path"]
            if path.partition(":")[0].lower() in _FETCHED:
                raise ImageError("Addresses are not fetched. Save the picture and upload it.")
            if not _may_be_named(path, image_folder):
                raise ImageError(describe_refusal(path))


def _has_broken_meta(value: Any) -> bool:
    """Return whether a value has a `path` like a file, but a `meta` that is not a dict.

    Gradio's function that checks whether a value is a file would fail on such a value.
    """
    if not isinstance(value, dict) or not isinstance(value.get("path"), str):
        return False
    return not isinstance(value.get("meta", {}), dict)


_FETCHED = ("http", "https", "ftp", "file", "data")


def _iterate(values: Iterable[Any]) -> Iterator[Any]:
    """Yield the given values and all values nested in them, without recursion.

    Raises:
        QueryError: The values are nested more than `MAX_DEPTH` levels deep.
    """
    stack = [(value, 1) for value in values]
    while stack:
        value, depth = stack.pop()
        if depth > MAX_DEPTH:
            raise QueryError(
                f"the request is nested more than {MAX_DEPTH} levels deep. Send plain values."
            )
        yield value
        if isinstance(value, Mapping):
            stack.extend((item, depth + 1) for pair in value.items() for item in pair)
        elif isinstance(value, (list, tuple)):
            stack.extend((item, depth + 1) for item in value)


def check_text(text: str) -> None:
    """Check that a text can be encoded.

    Raises:
        QueryError: The text has half of a surrogate pair. JSON can contain such text, but UTF-8
            cannot.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise QueryError(
            f"a text has the character {text[error.start]!r} at place {error.start + 1}, which is "
            "half of a surrogate pair; expected Unicode text. Remove this character."
        ) from None


def _may_be_named(path: str, image_folder: Path | None) -> bool:
    is_image = image_folder is not None and is_inside(path, image_folder)
    return is_image or is_in_upload_folder(path)


def parse_string(value: object, name: str) -> str:
    """Parse a string from JSON; None becomes the empty string.

    Args:
        value: The value.
        name: The name of the parameter, for the error message.

    Raises:
        QueryError: The value is neither a string nor None, or cannot be encoded.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        raise QueryError(
            f"{name} is {quote(value)}; expected a string. Send it in quotes, or leave it out."
        )
    check_text(value)
    return value


def parse_whole_number(value: object, name: str) -> int:
    """Parse a whole number from JSON.

    Args:
        value: The value.
        name: The name of the parameter, for the error message.

    Raises:
        QueryError: The value is not a whole number.
    """
    number = _parse_number(value, name)
    if not number.is_integer():
        raise QueryError(f"{name} is {quote(value)}; expected a whole number.")
    return int(number)


def parse_count(k: object) -> int:
    """Parse a number of results from JSON.

    Raises:
        QueryError: `k` is not a whole number from 1 to `MAX_RESULTS`.
    """
    number = _parse_number(k, "the number of results, k,")
    if not number.is_integer() or not 1 <= number <= MAX_RESULTS:
        raise QueryError(f"k is {quote(k)}; expected a whole number from 1 to {MAX_RESULTS}.")
    return int(number)


def parse_shift(shift: object) -> float:
    """Parse a weight shift (number added to the logit of the image weight) from JSON or a link.

    The strings "inf" and "-inf" mean the image part alone and the text part alone.

    Raises:
        QueryError: `shift` is not a number.
    """
    if shift is None:  # JavaScript's JSON.stringify writes an infinity as null
        raise QueryError(
            'shift is null; expected a number. JSON has no infinity: send "inf" for the picture '
            'alone, "-inf" for the words alone, or leave shift out.'
        )
    number = _parse_number(shift, "shift")
    if math.isnan(number):
        raise QueryError("shift is not a number; give 0 for the weight as it was learned.")
    return number


def parse_switch(value: object, name: str) -> bool:
    """Parse a truth value from JSON: true or false, 1 or 0, "true" or "false".

    Args:
        value: The value.
        name: The name of the parameter, for the error message.

    Raises:
        QueryError: The value is none of these values.
    """
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if isinstance(value, (bool, int, float)) and value in (0, 1):
        return bool(value)
    raise QueryError(f"{name} is {quote(value)}; expected true or false.")


def _parse_number(value: object, name: str) -> float:
    # JSON has no infinity, so clients send the strings "inf" and "-inf".
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            return float(value)
        except (ValueError, OverflowError):
            pass
    raise QueryError(f"{name} is {quote(value)}; expected a number.")


def write_link(request: SearchRequest) -> str | None:
    """Return the query string of a link that repeats a search, such as `ref=a.jpg&text=longer`.

    It names the model even if the page has only one: the link may be opened on another server, or
    after this one was started with another model. The result is None if the reference was uploaded,
    since a link cannot contain it.
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
    if request.model:
        parameters["model"] = request.model
    if request.filter:
        parameters["filter"] = request.filter
    if request.reference_id is not None and request.content is not None:
        parameters["content"] = request.content
    return urlencode(parameters)


def read_link(
    link: str, models: ModelPool, images: GalleryImages
) -> tuple[SearchRequest | None, str]:
    """Parse the query string of a link that repeats a search.

    Returns:
        The search, and an error message for the page. The search is None if the link has neither a
        reference nor a text; the caller can then read the other parameters with
        `with_link_settings`. The message is empty if the link is valid. A link is invalid if it
        names an image or a model that does not exist, if its shift or filter is invalid, or if it
        gives several values for one parameter. In the last case, the search has the first of these
        values.
    """
    repeated = _repeated_parameters(link)
    if repeated:
        request, message = _read_parameters(parse_link(link), models, images)
        return request, message or (
            f"The link gives {' and '.join(repeated)} more than once. Search to use the first, or "
            "correct the link."
        )
    return _read_parameters(parse_link(link), models, images)


def _read_parameters(
    parameters: Mapping[str, str], models: ModelPool, images: GalleryImages
) -> tuple[SearchRequest | None, str]:
    reference_id, words = parameters.get("ref") or None, parameters.get("text") or ""
    if reference_id is None and not words:
        return None, ""
    content = parameters.get("content", "").lower() or None
    known, complaint = None, ""
    if reference_id is not None:
        known, complaint = _find_linked(reference_id, content, images)
    request = SearchRequest(
        words,
        known,
        model=models.default,
        content=None if known is None else images.digest(known),
    )
    request, message = with_link_settings(request, parameters, models, images)
    return request, f"{complaint} {message}".strip()


def _find_linked(
    reference_id: str, content: str | None, images: GalleryImages
) -> tuple[str | None, str]:
    """Return the id of a link's reference in the gallery, and an error message.

    If the reference is found, the message is empty. If not, the id is None.

    Args:
        reference_id: The id in the link. It may differ from the id in the gallery in letter case,
            for example, or in the Unicode form of accents.
        content: The digest of the content in the link; None if the link has none.
        images: The gallery.
    """
    if content is not None and not is_digest(content):
        return None, (
            f"The link is incomplete or was changed: its content is {quote(content)}; expected "
            f"{DIGEST_LENGTH} hexadecimal digits. Copy the whole link again, or choose a picture."
        )
    known = match_id(reference_id, images.ids) or match_id(
        decode_url_text(reference_id), images.ids
    )
    found = find_shown(images, known or reference_id, content)
    if found is not None:
        return found, ""
    missing = f"The link's picture, {reference_id!r}, is not in this gallery"
    if known is None:
        return None, f"{missing}. Choose another."
    return None, (
        f"{missing}: another picture has its name now, since the gallery or the file was changed. "
        "Choose a picture."
    )


def with_link_settings(
    request: SearchRequest,
    parameters: Mapping[str, str],
    models: ModelPool,
    images: GalleryImages,
) -> tuple[SearchRequest, str]:
    """Return a request, changed to have the weight shift, the model and the filter of a link.

    If one of these settings is invalid or missing in the link, the request keeps its own value.

    Args:
        request: The request.
        parameters: The link's parameters by name.
        models: The models of the page.
        images: The gallery.

    Returns:
        The changed request, and an error message about invalid settings; the message is empty if
        all settings are valid.
    """
    readers: dict[str, Callable[[str], Any]] = {
        "shift": parse_shift,
        "model": lambda name: _require_model(name, models),
        "filter": lambda text: format_filter(parse_filter(text, images.metadata)),
    }
    errors = []
    for name, read in readers.items():
        value, message = _read_setting(parameters.get(name) or getattr(request, name), read)
        if message:
            errors.append(message)
        else:
            request = replace(request, **{name: value})
    return request, " ".join(errors)


def _read_setting(value: Any, read: Callable[[Any], Any]) -> tuple[Any, str]:
    """Convert a setting of a link with `read`; return the result and an error message.

    If the setting is valid, the message is empty. If not, the result is None.
    """
    try:
        return read(value), ""
    except QueryError as error:
        return None, f"In the link, {error}"


def _require_model(name: str, models: ModelPool) -> str:
    """Return the name of a link's model; raise `QueryError` if the page does not have the model."""
    if name not in models.names and len(models.names) == 1:
        raise QueryError(
            f"the model is {quote(name)}, which is not here. Search to use "
            f"{quote(models.default)}: its results may differ."
        )
    return models.require(name)


def describe_ignored(link: str) -> str:
    """Return a message that lists the parameters of a link that the page ignores.

    Parameters that web hosts, mail programs or social networks add to links, such as `utm_source`,
    are not listed. The result is empty if there is nothing to list.
    """
    names = dict.fromkeys(
        name
        for name, _ in _split_link(link)
        if name not in _LINK_NAMES and not _FOREIGN_NAME.fullmatch(name)
    )
    if not names:
        return ""
    shown = [quote(name) for name in list(names)[:_MAX_NAMED]]
    if len(names) > _MAX_NAMED:
        shown.append(f"{len(names) - _MAX_NAMED:,} more")
    return (
        f"Not used of the link: {', '.join(shown)}. A link can have {', '.join(_TYPED_NAMES[:-1])} "
        f"and {_TYPED_NAMES[-1]}."
    )


def has_link_settings(parameters: Mapping[str, str]) -> bool:
    """Return whether a link has a weight shift, a model or a filter."""
    return any(parameters.get(name) for name in ("shift", "model", "filter"))


def parse_link(link: str) -> dict[str, str]:
    """Return the parameters of a link's query string by name.

    If a name occurs more than once, its first value is returned.
    """
    return dict(reversed(_split_link(link)))


def _split_link(link: str) -> list[tuple[str, str]]:
    # A link that was copied from the source of a web page has "&amp;" between its parameters.
    query = link.removeprefix("?").replace("&amp;", "&")
    if "=" not in query and "=" in (decoded := unquote_plus(query)):
        query = decoded  # chats and mail programs encode links that they wrap
    parameters = [(_link_name(name), value) for name, value in parse_qsl(query)]
    # The name of a file may have "%20" in it, so `ref` is decoded only if there is no such picture.
    parameters = [
        (name, decode_url_text(value) if name in _LINK_NAMES and name != "ref" else value)
        for name, value in parameters
    ]
    # "?text=black & white": what follows the "&" was part of the text.
    words = [unquote_plus(part).strip() for part in query.split("&") if "=" not in part]
    return [*parameters, *((word, "") for word in words if word and word not in _LINK_NAMES)]


def _link_name(name: str) -> str:
    """Return the name of a link's parameter in its usual form.

    Synonyms and capital letters are replaced: "REFERENCE_ID" -> "ref", "Text" -> "text". A name
    that is not a parameter of links is returned unchanged.
    """
    folded = name.lower()
    known = _SYNONYMS.get(folded, folded)
    return known if known in _LINK_NAMES else name


def _repeated_parameters(link: str) -> list[str]:
    """Return the names of the parameters for which a link has two or more different values.

    Only parameters of a search are considered, such as `ref` and `text`.
    """
    counts = Counter(name for name, _ in dict.fromkeys(_split_link(link)))
    return [name for name in _LINK_NAMES if counts[name] > 1]
