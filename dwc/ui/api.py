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
from dwc.gallery.filters import find_matching, join_filters, parse_filter, unmatched_notes
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
"""The number of best results in the rank trace of `/explain`.

It is also the default number of results in each ranking of `/compare` and `/paraphrase`.
"""

ENDPOINTS = frozenset({"search", "explain", "compare", "paraphrase"})
"""The endpoints that may be called without their last inputs."""

GALLERY_PAGE = 100
"""The default number of images that `/gallery` returns at once."""

MAP_PAGE = 10_000
"""The default maximum number of images whose positions one call of `/map` returns."""

Answer = dict[str, Any]

Lane = Mapping[str, Any]
"""The Gradio options `concurrency_id` and `concurrency_limit`, which select an endpoint's queue."""


def add_search_endpoint(models: ModelPool, images: GalleryImages, lane: Lane) -> None:
    """Add the endpoint `/search`. Call this inside `gr.Blocks`.

    If there are several models, the endpoint also has the input `model`. It comes before `fold` and
    `filter`, which are the last inputs.
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
        """Search the gallery with a picture and a text about what should be different from it.

        Args:
            reference: The picture to start from (a file), or null for words alone.
            text: What should be different, in English; empty for the picture alone.
            k: Number of results, 1 to 200.
            shift: Number added to the logit of each stream's picture weight. 0 keeps the learned
                weights; positive numbers favor the picture, and negative numbers the words. "inf"
                searches by the picture alone, "-inf" by the words alone.
            model: The name of the model to use; empty for the default model.
            fold: Whether to list only the best picture of each group of near-duplicates; further
                results take the places of the hidden pictures.
            filter: Condition on the metadata, such as "category = dress and price < 50". Only the
                pictures that meet it are ranked; empty to rank all. `/gallery` lists the columns.

        Returns:
            The weights of picture and words in each stream; the results, each with its score and
            the parts of the score; the words that the model does not know; the duration of each
            step; and the names of the model and the gallery.
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
    """Add the endpoints `/explain`, `/compare` and `/paraphrase`. Call this inside `gr.Blocks`.

    If there are several models, each endpoint also has the input `model`. It comes before `filter`,
    which is the last input.
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
    """Add the endpoints `/gallery`, `/models`, `/map` and `/atlas`.

    Call this inside `gr.Blocks`.
    """

    def get_map(start: int = 0, limit: int = MAP_PAGE, model: str = "") -> Answer:
        """Return the positions of the gallery's pictures on its two-dimensional map.

        Pictures that the model finds similar are close together. The first call may take seconds,
        because it computes the map, which is then cached.

        Args:
            start: The index of the first picture, from 0.
            limit: The maximum number of pictures.
            model: The name of the model to use; empty for the default model.

        Returns:
            The gallery's size; the number of pictures that t-SNE placed; the mean share of a
            picture's 10 nearest neighbors that are also among its 10 nearest on the map; and the
            ids with x and y in [0, 1]. A picture that t-SNE did not place lies between the three
            placed pictures that are most similar to it.
        """
        with api_errors(), models.using(models.require(model)) as searcher:
            return map_table(searcher, start, limit)

    def get_atlas(model: str = "") -> Answer:
        """Return statistics of a model's picture weights for a fixed set of queries.

        Args:
            model: The name of the model to use; empty for the default model.

        Returns:
            A histogram of the picture weights for each stream, and the queries with the highest and
            the lowest picture weights. The checkpoint may also contain, for each query, the share
            of the target's attributes that come from the picture and not from the words. If so, the
            answer has the mean weight for several ranges of this share, and Spearman's correlation
            of weight and share.
        """
        with api_errors(), models.using(models.require(model)) as searcher:
            return statistics_table(searcher)

    def get_gallery(
        filter: str = "", start: int = 0, limit: int = GALLERY_PAGE, model: str = ""
    ) -> Answer:
        """Return the gallery's metadata columns, and the pictures that fit a filter.

        Args:
            filter: Condition on the metadata, such as "category = dress and price < 50". Only the
                pictures that meet it are listed; empty to list all.
            start: The index of the first picture among those that fit, from 0.
            limit: The maximum number of pictures.
            model: The name of the model to use; empty for the default model.

        Returns:
            The gallery's size; the number of pictures that fit; the type of each column, with the
            number of pictures for each value (for a column of numbers, with the least and the
            greatest number instead); the ids with their metadata; and notes on values in the filter
            that no picture has.
        """
        with api_errors(), models.using(models.require(model)) as searcher:
            return gallery_table(searcher, filter, start, limit)

    def get_models() -> Answer:
        """Return the names of the models that the other endpoints accept.

        Returns:
            The names of all models, and the name of the default model.
        """
        return list_models(models)

    gr.api(get_map, api_name="map")
    gr.api(get_gallery, api_name="gallery")
    gr.api(get_models, api_name="models")
    gr.api(get_atlas, api_name="atlas")


def list_models(models: ModelPool) -> Answer:
    """Return a dict with `models`, the names of all models, and `default`, the first name."""
    return {"models": list(models.names), "default": models.default}


def gallery_table(searcher: Searcher, filter: object, start: object, limit: object) -> Answer:
    """Return the response of the `/gallery` endpoint.

    Args:
        searcher: The searcher of the gallery.
        filter: A condition on the metadata, as text; empty for all images.
        start: The index of the first image to return, among those that fit the filter.
        limit: The maximum number of images to return.

    Returns:
        A dict with these entries:

        - `gallery_size`: the number of images in the gallery.
        - `fits`: the number of images that fit the filter.
        - `columns`: a dict for each column of the metadata, by the column's name. It has `type`,
          and either `values` (the number of images with each value) or `least` and `greatest`.
        - `start`: the argument.
        - `ids` and `metadata`: lists with the id and the metadata of each returned image.
        - `notes`: messages about values in the filter that no image has.
        - `indexing`: how many of the gallery's images are indexed; missing if all are.

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
        "notes": [] if condition is None else unmatched_notes(condition, metadata),
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
        A JSON-compatible dict with these entries:

        - "why": the parts of the score, and the image's ranks.
        - "word_effects": the effect of each word.
        - "trace": the ranks of the best images at several image weights.
        - "regions": the attention maps. None if the model has no CNN stream, or if the query has no
          image or no word that this stream can encode.
        - "indexing": how many of the gallery's images are indexed; missing if all are.

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
    """Rank the gallery for a query in four ways, and return the `k` best results of each ranking.

    This is the answer of the endpoint `/compare`. The rankings are by the image part alone, by the
    text part alone, by both parts with equal weights, and by both parts with the learned weights.

    Returns:
        A dict with these entries:

        - "columns": the results of each ranking.
        - "fitting": the ids of all images that match everything the query asks for; None if these
          images are unknown.
        - "why_unknown": the reason why these images are unknown; empty if they are known.
        - "fitting_filter": the condition on the metadata that selects these images, as the text of
          a filter; None if they were not selected by metadata.
        - "notes": messages for the user about the query.
        - "indexing": how many of the gallery's images are indexed; missing if all are.
    """
    relevance = relevance_of(images, query)
    sweep = searcher.sweep(query)
    return {
        **compare(sweep, query, k).to_dict(),
        "fitting": None if relevance.ids is None else sorted(relevance.ids),
        "why_unknown": relevance.why_unknown,
        "fitting_filter": join_filters((relevance.stated, relevance.shared)) or None,
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
        """Explain why a gallery picture has its rank in the answer to a query.

        Args:
            reference: The picture to start from (a file), or null for words alone.
            text: What should be different, in English; empty for the picture alone.
            id: The id of the gallery picture to explain; empty for the best result.
            shift: Number added to the logit of each stream's picture weight; 0 for no change.
            model: The name of the model to use; empty for the default model.
            filter: Condition on the metadata, such as "category = dress and price < 50". Only the
                pictures that meet it are ranked; empty to rank all.

        Returns:
            The parts of the picture's score. Its ranks in four rankings: by the picture alone, by
            the words alone, by both with equal weights, and by the learned weights. The effect of
            each word on the weights and on the score. The ranks of the best pictures at several
            weights. The attention maps of the words over the reference picture, on the network's
            coarse grid.
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
        """Rank the gallery by picture, by words, by both equally, and by the learned weights.

        Args:
            reference: The picture to start from (a file), or null for words alone.
            text: What should be different, in English; empty for the picture alone.
            k: Number of results of each ranking, 1 to 200.
            model: The name of the model to use; empty for the default model.
            filter: Condition on the metadata, such as "category = dress and price < 50". Only the
                pictures that meet it are ranked; empty to rank all.

        Returns:
            The results of each ranking with their ranks by the learned weights; the ids of all
            pictures that fit the query, or why these are unknown; and notes on the query.
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
        """Search with several wordings of one query, and compare the results and the weights.

        Args:
            reference: The picture to start from (a file), or null for words alone.
            text: What should be different, in English.
            wordings: Other wordings of the text, a list of texts.
            k: Number of results of each wording to compare, 1 to 200.
            model: The name of the model to use; empty for the default model.
            filter: Condition on the metadata, such as "category = dress and price < 50". Only the
                pictures that meet it are ranked; empty to rank all.

        Returns:
            For each wording, the weights, the results, the unknown words and notes; for each pair
            of wordings, the overlap of their results, from 0 (none in common) to 1 (the same
            results); and how much the weights differ.
        """
        with self._encode(model, reference, text, filter) as (searcher, query):
            texts = parse_wordings(wordings)
            probe = probe_paraphrases(searcher, query, texts, parse_count(k))
            return {**probe.to_dict(), **indexing_entry(searcher.store.indexed_part)}


@contextmanager
def api_errors() -> Iterator[None]:
    """Convert this package's errors in the `with` block to `gr.Error`; log no tracebacks."""
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

    The inputs of the endpoint are, in this order: the reference, the text, `inputs`, the model (if
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
    """Return a copy of an endpoint's function without the parameter `model`.

    An app with only one model uses this copy.
    """
    signature = inspect.signature(function)
    parameters = [p for name, p in signature.parameters.items() if name != "model"]
    names = [parameter.name for parameter in parameters]

    @wraps(function)
    def call(*values: Any) -> Answer:
        return function(**dict(zip(names, values, strict=False)))

    call.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return call
