"""The public endpoints that explain an answer: `/explain`, `/compare`, `/paraphrase`."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import gradio as gr

from dwc.errors import DWCError, QueryError
from dwc.search.asked import AskedQuery
from dwc.search.compare import compare
from dwc.search.models import Models
from dwc.search.paraphrase import probe_paraphrases
from dwc.search.regions import picture_regions
from dwc.search.searcher import Searcher
from dwc.search.why import explain
from dwc.search.word_effects import word_effects
from dwc.ui.asking import read_count, read_question, read_shift
from dwc.ui.paraphrase import read_wordings
from dwc.ui.pictures import Pictures
from dwc.ui.truth import garments_of, truth_of
from dwc.ui.uploads import refuse_addresses

RANKED = 10

Reference = Mapping[str, Any] | None
Told = dict[str, Any]


def explain_question(searcher: Searcher, asked: AskedQuery, id: str, shift: float) -> Told:
    """All that explains one result of a question; the best one's where `id` is empty.

    The keys are "why", "word_effects", "trace" and "regions", each as its `to_dict` says; the last
    is None where there is nothing to relate. Raises QueryError for an id that is not ranked.
    """
    sweep = searcher.sweep(asked)
    if not len(sweep):
        raise QueryError("the gallery has nothing but the reference; there is nothing to explain.")
    chosen = id or sweep.ids[int(sweep.top(shift, 1)[0])]
    regions = picture_regions(searcher.checkpoint, asked)
    return {
        "why": explain(sweep, chosen, shift).to_dict(),
        "word_effects": word_effects(searcher, asked, chosen, shift).to_dict(),
        "trace": sweep.rank_trace(k=RANKED).to_dict(),
        "regions": None if regions is None else regions.to_dict(),
    }


def compare_question(searcher: Searcher, pictures: Pictures, asked: AskedQuery, k: int) -> Told:
    """The `k` best by every reading, and every picture that fits, where that is known.

    "fitting" is None, and "why_unknown" says why, where it is not.
    """
    truth = truth_of(garments_of(pictures), asked)
    return {
        **compare(searcher.sweep(asked), asked, k).to_dict(),
        "fitting": None if truth.fitting is None else sorted(truth.fitting),
        "why_unknown": truth.why_unknown,
    }


def add_explaining_endpoints(models: Models, pictures: Pictures, concurrency_id: str) -> None:
    """Offer the endpoints beside the page. Call inside `gr.Blocks`.

    Each takes `model`, its last input, where there is more than one to choose from.
    """

    @contextmanager
    def asking(model: str, reference: Reference, text: str) -> Iterator[tuple[Searcher, Any]]:
        try:
            with models.using(models.require(model)) as searcher:
                yield searcher, searcher.ask(**read_question(pictures, reference, text))
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
            return explain_question(searcher, asked, id or "", read_shift(shift))

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
            return compare_question(searcher, pictures, asked, read_count(k))

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
            return probe_paraphrases(searcher, asked, others, read_count(k)).to_dict()

    def offer(told: Callable[..., Told], name: str, *inputs: gr.components.Component) -> None:
        # Components of its own, never shown: the page's must not decide what an endpoint takes.
        picture = gr.Image(visible=False, label="reference", type="filepath")
        refuse_addresses(picture)
        several = len(models.names) > 1
        model = [gr.Textbox(value=models.first, visible=False, label="model")] if several else []
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
