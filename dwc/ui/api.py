"""The public API endpoints of the app.

`/search` runs a query; `/explain`, `/compare` and `/paraphrase` explain a search result;
`/gallery`, `/models`, `/map` and `/atlas` describe the gallery and the models.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any

import gradio as gr
import numpy as np

from dwc.errors import DWCError, QueryError
from dwc.explain.attention_maps import attention_maps
from dwc.explain.comparison import compare
from dwc.explain.score_split import explain_score
from dwc.explain.text_perturbations import ablate_words, probe_paraphrases
from dwc.gallery.filters import find_matching, parse_filter
from dwc.gallery.metadata import describe_column
from dwc.search.model_pool import ModelPool, origin_of
from dwc.search.query import EncodedQuery
from dwc.search.results import indexing_entry
from dwc.search.searcher import Searcher
from dwc.ui.gallery_images import GalleryImages
from dwc.ui.panels.map import map_table
from dwc.ui.panels.paraphrases import parse_wordings
from dwc.ui.panels.weight_statistics import statistics_table
from dwc.ui.relevance import relevance_of
from dwc.ui.request_parsing import (
    DEFAULT_RESULTS,
    FileData,
    parse_count,
    parse_query,
    parse_shift,
    parse_string,
    parse_whole_number,
    run_search,
)

COMPARED = 10
"""How many of the best results of each ranking `/explain`, `/compare` and `/paraphrase` consider.

For `/compare` and `/paraphrase`, this number is only the default.
"""

ENDPOINTS = frozenset({"search", "explain", "compare", "paraphrase"})
"""The endpoints that may be called without their last inputs."""

GALLERY_PAGE = 100
"""How many images `/gallery` returns at once by default."""

MAP_PAGE = 10_000
"""The default maximum number of images whose positions one call of `/map` returns."""

Answer = dict[str, Any]

Lane = Mapping[str, Any]
"""The queue in which the calls of an endpoint wait: Gradio's concurrency id, and its limit."""


def add_search_endpoint(models: ModelPool, images: GalleryImages, lane: Lane) -> None:
    """Add the endpoint `/search`. Call inside `gr.Blocks`.

    If there are several models, the endpoint has an input `model`, placed before the last inputs,
    `fold` and `filter`.
    """

    def search(
        reference: FileData | None = None,
        text: str = "",
        k: float = DEFAULT_RESULTS,
        shift: float = 0.0,
        model: str = "",
        fold: bool = False,
        filter: str = "",
    ) -> Answer:
        """Find the gallery's pictures that look like a reference picture and fit words of change.

        Args:
            reference: The picture to start from (a file), or null for words alone.
            text: What should be different, in English; empty for the picture alone.
            k: How many results, 1 to 200.
            shift: Leans the learned weight of every stream: 0 is as learned, positive numbers lean
                to the picture, negative ones to the words, "inf" and "-inf" all the way.
            model: Which of the app's models answers, by its name; empty for the first.
            fold: Whether near-duplicates are folded under the best of each group, with further
                results in their place.
            filter: Only pictures whose metadata fit: "category = dress and price < 50"; empty for
                all. `/gallery` lists the columns.

        Returns:
            The weight of picture and words in each stream, the results with their scores and the
            four parts of each, the words unknown to the model, the time each step took, and which
            model answered over which gallery.
        """
        with api_errors():
            name = models.require(model)
            with models.using(name) as searcher:
                result = run_search(searcher, images, reference, text, k, shift, fold, filter)
                return {**result.to_dict(), **origin_of(searcher).to_dict()}

    k = gr.Number(value=DEFAULT_RESULTS, visible=False, label="k")
    shift = gr.Number(value=0.0, visible=False, label="shift")
    fold = gr.Checkbox(value=False, visible=False, label="fold")
    filter = gr.Textbox(value="", visible=False, label="filter")
    _add_endpoint(search, "search", models, lane, [k, shift], [fold, filter])


def add_explaining_endpoints(models: ModelPool, images: GalleryImages, lane: Lane) -> None:
    """Add the endpoints `/explain`, `/compare` and `/paraphrase`. Call inside `gr.Blocks`.

    If there are several models, each endpoint has an input `model`, before the last input `filter`.
    """
    endpoints = _ExplainingEndpoints(models, images)

    def filter() -> gr.Textbox:
        return gr.Textbox(value="", visible=False, label="filter")

    id = gr.Textbox(value="", visible=False, label="id")
    shift = gr.Number(value=0.0, visible=False, label="shift")
    _add_endpoint(endpoints.explain_result, "explain", models, lane, [id, shift], [filter()])
    k = gr.Number(value=COMPARED, visible=False, label="k")
    _add_endpoint(endpoints.compare_readings, "compare", models, lane, [k], [filter()])
    wordings = gr.JSON(value=[], visible=False, label="wordings")
    k = gr.Number(value=COMPARED, visible=False, label="k")
    _add_endpoint(endpoints.paraphrase, "paraphrase", models, lane, [wordings, k], [filter()])


def add_overview_endpoints(models: ModelPool) -> None:
    """Add the endpoints `/gallery`, `/models`, `/map` and `/atlas`. Call inside `gr.Blocks`."""

    def tell_map(start: int = 0, limit: int = MAP_PAGE, model: str = "") -> Answer:
        """Tell where the gallery's pictures lie on its map, in two dimensions.

        What the model finds alike lies close together. The first call may take seconds: it lays the
        gallery out, and keeps that.

        Args:
            start: The first picture returned, counted from 0.
            limit: How many are returned at most.
            model: By which of the app's models, by its name; empty for the first.

        Returns:
            The gallery's size, how many pictures were laid out (the others are put among these),
            which share of a picture's 10 nearest is kept on average, and the ids with x and y in
            [0, 1].
        """
        with api_errors(), models.using(models.require(model)) as searcher:
            return map_table(searcher, start, limit)

    def tell_atlas(model: str = "") -> Answer:
        """Tell what a model usually listens to, over the queries kept with its checkpoint.

        Args:
            model: Which of the app's models, by its name; empty for the first.

        Returns:
            By stream how often each weight of the picture was given, its mean by the share that
            only the picture can tell, and Spearman's correlation of both, where the truth is known;
            and the queries led most by the picture and by the words.
        """
        with api_errors(), models.using(models.require(model)) as searcher:
            return statistics_table(searcher)

    def tell_gallery(
        filter: str = "", start: int = 0, limit: int = GALLERY_PAGE, model: str = ""
    ) -> Answer:
        """Tell which metadata the gallery has, and which of its pictures fit a filter.

        Args:
            filter: Only pictures whose metadata fit: "category = dress and price < 50"; empty for
                all.
            start: The first picture told, counted from 0 among those that fit.
            limit: How many are told at most.
            model: By which of the app's models, by its name; empty for the first.

        Returns:
            The gallery's size; how many pictures fit; each column's type with its values and how
            many pictures have each, or its least and greatest number; and the ids with their
            metadata.
        """
        with api_errors(), models.using(models.require(model)) as searcher:
            return gallery_table(searcher, filter, start, limit)

    def tell_models() -> Answer:
        """Tell which models can answer.

        Returns:
            The models' names, and which of them answers if none is named.
        """
        return list_models(models)

    gr.api(tell_map, api_name="map")
    gr.api(tell_gallery, api_name="gallery")
    gr.api(tell_models, api_name="models")
    gr.api(tell_atlas, api_name="atlas")


def list_models(models: ModelPool) -> Answer:
    """Return a dict with the names of all models, `models`, and that of the first, `default`."""
    return {"models": list(models.names), "default": models.default}


def gallery_table(searcher: Searcher, filter: object, start: object, limit: object) -> Answer:
    """Return the response of the `/gallery` endpoint.

    Args:
        searcher: The searcher of the gallery.
        filter: A condition on the metadata, as text; empty for all images.
        start: The index of the first image that is returned, among those that fit.
        limit: How many images are returned at most.

    Returns:
        A dict with `gallery_size`, `fits` (how many images fit), `columns` (for each column a dict
        with `type`, and `values`, a dict from texts to counts, or `least` and `greatest`), `start`,
        `ids`, `metadata` (a dict for each id), and the entry of `indexing_entry`.

    Raises:
        QueryError: The filter is invalid, or `start` or `limit` is not a whole number of 0 or more.
    """
    metadata = searcher.store.metadata
    condition = parse_filter(parse_string(filter, "filter"), metadata)
    first, count = parse_whole_number(start, "start"), parse_whole_number(limit, "limit")
    if first < 0 or count < 0:
        raise QueryError(f"start is {first} and limit {count}; expected numbers of 0 or more.")
    size = len(searcher.store)
    fits = np.ones(size, dtype=bool) if condition is None else find_matching(condition, metadata)
    positions = np.flatnonzero(fits).tolist()
    page = positions[first : first + count]
    return {
        "gallery_size": size,
        "fits": len(positions),
        "columns": {name: describe_column(c, fits) for name, c in metadata.columns.items()},
        "start": first,
        "ids": [searcher.store.ids[position] for position in page],
        "metadata": [metadata.row(position) for position in page],
        **indexing_entry(searcher.store.indexed_part),
    }


def explain_query(searcher: Searcher, query: EncodedQuery, id: str, shift: float) -> Answer:
    """Return the explanations of one result of a query, for the endpoint `/explain`.

    Args:
        searcher: The searcher that encoded the query.
        query: The encoded query.
        id: The id of the image to explain; empty for the best result.
        shift: Number added to the logit of each stream's image weight.

    Returns:
        A dict of JSON-compatible values: "why" (the parts of the score, and the image's ranks),
        "word_effects" (the effect of each word), "trace" (the ranks of the best images at several
        image weights) and "regions" (the attention maps). "regions" is None if the model has no CNN
        stream, or if the query has no image or no word that this stream can encode. There is also
        the entry of `indexing_entry`.

    Raises:
        QueryError: The image is not in the gallery or is the reference itself, or the gallery has
            no image except the reference.
    """
    sweep = searcher.sweep(query)
    if not len(sweep):
        raise QueryError("the gallery has nothing but the reference; there is nothing to explain.")
    selected = id or sweep.ids[int(sweep.top(shift, 1)[0])]
    regions = attention_maps(searcher.checkpoint, query, searcher.compose.image_features)
    return {
        "why": explain_score(sweep, selected, shift).to_dict(),
        "word_effects": ablate_words(searcher, query, selected, shift).to_dict(),
        "trace": sweep.rank_trace(k=COMPARED).to_dict(),
        "regions": None if regions is None else regions.to_dict(),
        **indexing_entry(searcher.store.indexed_part),
    }


def compare_query(searcher: Searcher, images: GalleryImages, query: EncodedQuery, k: int) -> Answer:
    """Return the `k` best results of each variant of a query, for the endpoint `/compare`.

    The variants rank by the image part alone, by the text part alone, by both parts with equal
    weights, and by both parts with the learned weights.

    Returns:
        A dict with the fields of `Comparison` and these entries:

        - "fitting": a list of the ids of all images that match everything the query asks for; None
          if these images are unknown.
        - "why_unknown": the reason why these images are unknown; empty if they are known.
        - "notes": messages for the user, as in a search result.
        - the entry of `indexing_entry`.
    """
    relevance = relevance_of(images, query)
    sweep = searcher.sweep(query)
    return {
        **compare(sweep, query, k).to_dict(),
        "fitting": None if relevance.ids is None else sorted(relevance.ids),
        "why_unknown": relevance.why_unknown,
        "notes": searcher.notes(query, sweep),
        **indexing_entry(searcher.store.indexed_part),
    }


class _ExplainingEndpoints:
    """The functions of the endpoints `/explain`, `/compare` and `/paraphrase`.

    The API's documentation shows the docstrings of these functions.
    """

    def __init__(self, models: ModelPool, images: GalleryImages) -> None:
        self._models, self._images = models, images

    @contextmanager
    def _encode(
        self, model: str, reference: FileData | None, text: str, filter: str
    ) -> Iterator[tuple[Searcher, EncodedQuery]]:
        with api_errors(), self._models.using(self._models.require(model)) as searcher:
            condition = parse_string(filter, "filter")
            query = parse_query(self._images, reference, text)
            yield searcher, searcher.encode_query(**query, filter=condition)

    def explain_result(
        self,
        reference: FileData | None = None,
        text: str = "",
        id: str = "",
        shift: float = 0.0,
        model: str = "",
        filter: str = "",
    ) -> Answer:
        """Explain why a gallery picture stands where it does in the answer to a question.

        Args:
            reference: The picture to start from (a file), or null for words alone.
            text: What should be different, in English; empty for the picture alone.
            id: The gallery picture to explain; empty for the best.
            shift: Leans the learned weight, as in `/search`.
            model: Which of the app's models answers, by its name; empty for the first.
            filter: Ranks only pictures whose metadata fit, as in `/search`; empty for all.

        Returns:
            Its score in parts with its ranks by picture, words, average and as learned; what each
            word did to the weights and to its score; every leading picture's rank as the weight
            moves; and where in the picture each word looked, on the network's coarse grid.
        """
        with self._encode(model, reference, text, filter) as (searcher, query):
            return explain_query(searcher, query, parse_string(id, "id"), parse_shift(shift))

    def compare_readings(
        self,
        reference: FileData | None = None,
        text: str = "",
        k: float = COMPARED,
        model: str = "",
        filter: str = "",
    ) -> Answer:
        """Answer one question by the picture, by the words, by their average, and as learned.

        Args:
            reference: The picture to start from (a file), or null for words alone.
            text: What should be different, in English; empty for the picture alone.
            k: How many results of each, 1 to 200.
            model: Which of the app's models answers, by its name; empty for the first.
            filter: Ranks only pictures whose metadata fit, as in `/search`; empty for all.

        Returns:
            The results of each reading with their ranks as learned; over the drawn catalogue every
            picture that fits what was asked for, or why that is not known; and notes on how the
            question was read.
        """
        with self._encode(model, reference, text, filter) as (searcher, query):
            return compare_query(searcher, self._images, query, parse_count(k))

    def paraphrase(
        self,
        reference: FileData | None = None,
        text: str = "",
        wordings: Any = None,
        k: float = COMPARED,
        model: str = "",
        filter: str = "",
    ) -> Answer:
        """Ask one question in several wordings, and tell how far answers and weights differ.

        Args:
            reference: The picture to start from (a file), or null for words alone.
            text: What should be different, in English.
            wordings: The same in other words, a list of texts.
            k: How many results of each are compared, 1 to 200.
            model: Which of the app's models answers, by its name; empty for the first.
            filter: Ranks only pictures whose metadata fit, as in `/search`; empty for all.

        Returns:
            Each wording's weights and results, its unknown words, notes on how it was read, what
            every two share, and how far the weights lie apart.
        """
        with self._encode(model, reference, text, filter) as (searcher, query):
            texts = parse_wordings(wordings)
            probe = probe_paraphrases(searcher, query, texts, parse_count(k))
            return {**probe.to_dict(), **indexing_entry(searcher.store.indexed_part)}


@contextmanager
def api_errors() -> Iterator[None]:
    """Report errors of this package in the block to the API client, without logging a traceback."""
    try:
        yield
    except DWCError as error:
        raise gr.Error(str(error), print_exception=False) from error


def _add_endpoint(
    function: Callable[..., Answer],
    name: str,
    models: ModelPool,
    lane: Lane,
    inputs: Sequence[gr.components.Component],
    last_inputs: Sequence[gr.components.Component] = (),
) -> None:
    """Add an endpoint that calls a function and returns its result as JSON.

    The inputs of the endpoint, in this order, are the reference, the text, `inputs`, the model (if
    there are several models), and `last_inputs`.
    """
    # The endpoint has hidden components of its own, so that the settings of the page's components
    # do not limit its inputs.
    reference = gr.Image(visible=False, label="reference", type="filepath")
    text = gr.Textbox(value="", visible=False, label="text")
    model = []
    if len(models.names) > 1:
        model.append(gr.Textbox(value=models.default, visible=False, label="model"))
    gr.Button(visible=False).click(
        function if model else _without_model(function),
        [reference, text, *inputs, *model, *last_inputs],
        gr.JSON(visible=False, label="result"),
        api_name=name,
        # Gradio must not open the file: this package decodes it, with its own size limits and
        # error messages.
        preprocess=False,
        **lane,
    )


def _without_model(function: Callable[..., Answer]) -> Callable[..., Answer]:
    """Return a function without the parameter `model`, which is needed only for several models."""
    signature = inspect.signature(function)
    parameters = [p for name, p in signature.parameters.items() if name != "model"]
    names = [parameter.name for parameter in parameters]

    @wraps(function)
    def call(*values: Any) -> Answer:
        return function(**dict(zip(names, values, strict=False)))

    call.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return call
