"""A question as the browser sends it -> an answer; every complaint is a `DWCError`."""

import math
from collections.abc import Mapping
from typing import Any, Protocol

from PIL import Image

from dwc.datasets.image_loading import decode
from dwc.errors import ImageError, QueryError
from dwc.search.near_duplicates import NearDuplicates
from dwc.search.query import EncodedQuery
from dwc.search.reference_weights import ReferenceWeights
from dwc.search.results import SearchResult
from dwc.search.weight_sweep import WeightSweep
from dwc.ui.gallery_images import GalleryImages
from dwc.ui.security import read_upload

# Far beyond any wish a tokenizer takes, and short enough to be cut before it costs anything.
MAX_CHARACTERS = 1000
MAX_RESULTS = 200
RESULTS_SHOWN = 12


class SearchEngine(Protocol):
    """What answers: `dwc.search.searcher.Searcher`."""

    reference_weights: ReferenceWeights | None
    near_duplicates: NearDuplicates

    def encode_query(
        self, image: Image.Image | None = None, text: str = "", reference_id: str | None = None
    ) -> EncodedQuery:
        """Read and encode a question; `QueryError` where there is nothing to search."""

    def answer(
        self,
        query: EncodedQuery,
        k: int = 12,
        shift: float = 0.0,
        sweep: WeightSweep | None = None,
    ) -> SearchResult:
        """Find the `k` pictures that fit it."""

    def sweep(self, query: EncodedQuery) -> WeightSweep:
        """Meet the gallery, so that any shift costs next to nothing."""


def run_search(
    searcher: SearchEngine,
    pictures: GalleryImages,
    reference: Mapping[str, Any] | None,
    text: str | None,
    k: object = RESULTS_SHOWN,
    shift: object = 0.0,
) -> SearchResult:
    """Search with a reference as Gradio hands it over (its file data, unopened) and words.

    `k` and `shift` come from outside and are checked here. Raises `QueryError` and `ImageError`
    with a message for the person who asked.
    """
    asked = searcher.encode_query(**parse_query(pictures, reference, text))
    return searcher.answer(asked, parse_count(k), parse_shift(shift))


def parse_query(
    pictures: GalleryImages, reference: Mapping[str, Any] | None, text: str | None
) -> dict[str, Any]:
    """The arguments of `Searches.ask` for a reference and words as a browser sends them.

    Raises `QueryError` and `ImageError` with a message for the person who asked.
    """
    words = (text or "").strip()
    if reference is None and not words:
        raise QueryError("There is nothing to search yet: choose a picture, type words, or both.")
    if len(words) > MAX_CHARACTERS:
        raise QueryError(
            f"The words have {len(words):,} characters; at most {MAX_CHARACTERS:,} are read. "
            "Shorten them to what should be different."
        )
    image, reference_id = parse_reference(reference, pictures)
    return {"image": image, "text": words, "reference_id": reference_id}


def parse_reference(
    reference: Mapping[str, Any] | None, pictures: GalleryImages
) -> tuple[Image.Image | None, str | None]:
    """The reference as a picture, or as an id where it is one of the gallery's; never both.

    A gallery picture arrives as its thumbnail's file; the searcher finds the original.
    """
    if reference is None:
        return None, None
    path = reference.get("path")
    if not isinstance(path, str) or not path:
        raise ImageError("The picture did not arrive. Choose it again.")
    if (picture_id := pictures.id_of(path)) is not None:
        return None, picture_id
    try:
        # As bytes, so that no message shows where uploads lie on this computer.
        return decode(read_upload(path)), None
    except ImageError as error:
        raise ImageError(str(error).replace("the picture given: ", "The picture ")) from error


def parse_count(k: object) -> int:
    """A number of results as JSON may carry it; `QueryError` for none from 1 to `MAX_RESULTS`."""
    number = _number(k, "the number of results, k,")
    if not number.is_integer() or not 1 <= number <= MAX_RESULTS:
        raise QueryError(f"k is {k}; expected a whole number from 1 to {MAX_RESULTS}.")
    return int(number)


def parse_shift(shift: object) -> float:
    """A shift as JSON or an address may carry it; `QueryError` for what is no number."""
    number = _number(shift, "shift")
    if math.isnan(number):
        raise QueryError("shift is not a number; give 0 for the weight as it was learned.")
    return number


def _number(value: object, name: str) -> float:
    # JSON has no infinity: "inf" and "-inf" stand for only the picture and only the words.
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            return float(value)
        except (ValueError, OverflowError):
            pass
    raise QueryError(f"{name} is {value!r}; expected a number.")
