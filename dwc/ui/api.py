"""The public endpoint `/search`.

The public endpoints that explain an answer: `/explain`, `/compare`, `/paraphrase`.

The public endpoints `/map` and `/atlas`: a gallery's map and a checkpoint's usual weights.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import gradio as gr

from dwc.errors import DWCError, QueryError
from dwc.explain.attention_maps import attention_maps
from dwc.explain.comparison import compare
from dwc.explain.paraphrases import probe_paraphrases
from dwc.explain.score_split import explain_score
from dwc.explain.word_ablation import ablate_words
from dwc.search.model_pool import ModelPool
from dwc.search.query import EncodedQuery
from dwc.search.searcher import Searcher
from dwc.ui.gallery_images import GalleryImages
from dwc.ui.panels.map import map_table
from dwc.ui.panels.paraphrases import read_wordings
from dwc.ui.panels.weight_statistics import statistics_table
from dwc.ui.relevance import garments_of, truth_of
from dwc.ui.request_parsing import RESULTS_SHOWN, parse_count, parse_query, parse_shift, run_search
from dwc.ui.security import refuse_addresses


def add_search_endpoint(models: ModelPool, pictures: GalleryImages, concurrency_id: str) -> None:
    """Offer `/search` beside the page. Call inside `gr.Blocks`.

    It takes `model`, its last input, where there is more than one to choose from.
    """

    def search(
        reference: Mapping[str, Any] | None = None,
        text: str = "",
        k: float = RESULTS_SHOWN,
        shift: float = 0.0,
        model: str = "",
    ) -> dict[str, Any]:
        """Find the gallery's pictures that look like a reference picture and fit words of change.

        Args:
            reference: The picture to start from (a file), or null for words alone.
            text: What should be different, in English; empty for the picture alone.
            k: How many results, 1 to 200.
            shift: Leans the learned weight of every stream: 0 is as learned, positive numbers lean
                to the picture, negative ones to the words, "inf" and "-inf" all the way.
            model: Which of the app's models answers, by its name; empty for the first.

        Returns:
            The weight of picture and words in each stream, the results with their scores and the
            four parts of each, the words unknown to the model, the time each step took, and which
            model answered over which gallery.
        """
        try:
            name = models.require(model)
            with models.using(name) as searcher:
                result = run_search(searcher, pictures, reference, text, k, shift)
            return {**result.to_dict(), **models.origin(name).to_dict()}
        except DWCError as error:
            raise gr.Error(str(error), print_exception=False) from error

    # Components of its own, never shown: the page's must not decide what the endpoint takes.
    picture = gr.Image(visible=False, label="reference", type="filepath")
    refuse_addresses(picture)
    inputs: list[gr.components.Component] = [
        picture,
        gr.Textbox(value="", visible=False, label="text"),
        gr.Number(value=RESULTS_SHOWN, visible=False, label="k"),
        gr.Number(value=0.0, visible=False, label="shift"),
    ]
    if len(models.names) > 1:
        inputs.append(gr.Textbox(value=models.default, visible=False, label="model"))
    gr.Button(visible=False).click(
        search,
        inputs,
        gr.JSON(visible=False, label="result"),
        api_name="search",
        # The picture stays unopened: it is decoded within limits, and complaints are in our words.
        preprocess=False,
        concurrency_id=concurrency_id,
        concurrency_limit=1,
    )


RANKED = 10

Reference = Mapping[str, Any] | None
Told = dict[str, Any]


def explain_question(searcher: Searcher, asked: EncodedQuery, id: str, shift: float) -> Told:
    """All that explains one result of a question; the best one's where `id` is empty.

    The keys are "why", "word_effects", "trace" and "regions", each as its `to_dict` says; the last
    is None where there is nothing to relate. Raises QueryError for an id that is not ranked.
    """
    sweep = searcher.sweep(asked)
    if not len(sweep):
        raise QueryError("the gallery has nothing but the reference; there is nothing to explain.")
    chosen = id or sweep.ids[int(sweep.top(shift, 1)[0])]
    regions = attention_maps(searcher.checkpoint, asked)
    return {
        "why": explain_score(sweep, chosen, shift).to_dict(),
        "word_effects": ablate_words(searcher, asked, chosen, shift).to_dict(),
        "trace": sweep.rank_trace(k=RANKED).to_dict(),
        "regions": None if regions is None else regions.to_dict(),
    }


def compare_question(
    searcher: Searcher, pictures: GalleryImages, asked: EncodedQuery, k: int
) -> Told:
    """The `k` best by every reading, and every picture that fits, where that is known.

    "fitting" is None, and "why_unknown" says why, where it is not.
    """
    truth = truth_of(garments_of(pictures), asked)
    return {
        **compare(searcher.sweep(asked), asked, k).to_dict(),
        "fitting": None if truth.fitting is None else sorted(truth.fitting),
        "why_unknown": truth.why_unknown,
    }


def add_explaining_endpoints(
    models: ModelPool, pictures: GalleryImages, concurrency_id: str
) -> None:
    """Offer the endpoints beside the page. Call inside `gr.Blocks`.

    Each takes `model`, its last input, where there is more than one to choose from.
    """

    @contextmanager
    def asking(model: str, reference: Reference, text: str) -> Iterator[tuple[Searcher, Any]]:
        try:
            with models.using(models.require(model)) as searcher:
                yield searcher, searcher.encode_query(**parse_query(pictures, reference, text))
        except DWCError as error:
            raise gr.Error(str(error), print_exception=False) from error

    def explain_result(
        reference: Reference = None,
        text: str = "",
        id: str = "",
        shift: float = 0.0,
        model: str = "",
    ) -> Told:
        """Explain why a gallery picture stands where it does in the answer to a question.

        Args:
            reference: The picture to start from (a file), or null for words alone.
            text: What should be different, in English; empty for the picture alone.
            id: The gallery picture to explain; empty for the best.
            shift: Leans the learned weight, as in `/search`.
            model: Which of the app's models answers, by its name; empty for the first.

        Returns:
            Its score in parts with its ranks by picture, words, average and as learned; what each
            word did to the weights and to its score; every leading picture's rank as the weight
            moves; and where in the picture each word looked, on the network's coarse grid.
        """
        with asking(model, reference, text) as (searcher, asked):
            return explain_question(searcher, asked, id or "", parse_shift(shift))

    def compare_readings(
        reference: Reference = None, text: str = "", k: float = RANKED, model: str = ""
    ) -> Told:
        """Answer one question by the picture, by the words, by their average, and as learned.

        Args:
            reference: The picture to start from (a file), or null for words alone.
            text: What should be different, in English; empty for the picture alone.
            k: How many results of each, 1 to 200.
            model: Which of the app's models answers, by its name; empty for the first.

        Returns:
            The results of each reading with their ranks as learned; and over the drawn catalogue
            every picture that fits what was asked for, or why that is not known.
        """
        with asking(model, reference, text) as (searcher, asked):
            return compare_question(searcher, pictures, asked, parse_count(k))

    def paraphrase(
        reference: Reference = None,
        text: str = "",
        wordings: Any = None,
        k: float = RANKED,
        model: str = "",
    ) -> Told:
        """Ask one question in several wordings, and tell how far answers and weights differ.

        Args:
            reference: The picture to start from (a file), or null for words alone.
            text: What should be different, in English.
            wordings: The same in other words, a list of texts.
            k: How many results of each are compared, 1 to 200.
            model: Which of the app's models answers, by its name; empty for the first.

        Returns:
            Each wording's weights and results, what every two share, and how far the weights lie
            apart.
        """
        with asking(model, reference, text) as (searcher, asked):
            others = read_wordings(wordings)
            return probe_paraphrases(searcher, asked, others, parse_count(k)).to_dict()

    def offer(told: Callable[..., Told], name: str, *inputs: gr.components.Component) -> None:
        # Components of its own, never shown: the page's must not decide what an endpoint takes.
        picture = gr.Image(visible=False, label="reference", type="filepath")
        refuse_addresses(picture)
        several = len(models.names) > 1
        model = [gr.Textbox(value=models.default, visible=False, label="model")] if several else []
        gr.Button(visible=False).click(
            told,
            [picture, gr.Textbox(value="", visible=False, label="text"), *inputs, *model],
            gr.JSON(visible=False, label="result"),
            api_name=name,
            # The picture stays unopened: it is decoded within limits, and complaints are ours.
            preprocess=False,
            concurrency_id=concurrency_id,
            concurrency_limit=1,
        )

    offer(
        explain_result,
        "explain",
        gr.Textbox(value="", visible=False, label="id"),
        gr.Number(value=0.0, visible=False, label="shift"),
    )
    offer(compare_readings, "compare", gr.Number(value=RANKED, visible=False, label="k"))
    offer(
        paraphrase,
        "paraphrase",
        gr.JSON(value=[], visible=False, label="wordings"),
        gr.Number(value=RANKED, visible=False, label="k"),
    )


PAGE = 10_000
"""How many pictures' places `/map` tells at once, unless asked for another number."""


def add_overview_endpoints(models: ModelPool) -> None:
    """Offer both beside the page. Call inside `gr.Blocks`."""

    def tell_map(start: int = 0, limit: int = PAGE, model: str = "") -> dict[str, Any]:
        """Tell where the gallery's pictures lie on its map, in two dimensions.

        What the model finds alike lies close together. The first call may take seconds: it lays the
        gallery out, and keeps that.

        Args:
            start: The first picture told, counted from 0.
            limit: How many are told at most.
            model: By which of the app's models, by its name; empty for the first.

        Returns:
            The gallery's size, how many pictures were laid out (the others are put among these),
            which share of a picture's 10 nearest is kept on average, and the ids with x and y in
            [0, 1].
        """
        try:
            with models.using(models.require(model)) as searcher:
                return map_table(searcher, start, limit)
        except DWCError as error:
            raise gr.Error(str(error), print_exception=False) from error

    def tell_atlas(model: str = "") -> dict[str, Any]:
        """Tell what a model usually listens to, over the queries kept with its checkpoint.

        Args:
            model: Which of the app's models, by its name; empty for the first.

        Returns:
            By stream how often each weight of the picture was given, its mean by the share that
            only the picture can tell, and Spearman's correlation of both, where the truth is known;
            and the queries led most by the picture and by the words.
        """
        try:
            with models.using(models.require(model)) as searcher:
                return statistics_table(searcher)
        except DWCError as error:
            raise gr.Error(str(error), print_exception=False) from error

    gr.api(tell_map, api_name="map")
    gr.api(tell_atlas, api_name="atlas")
