"""The public endpoint `/search`."""

from collections.abc import Mapping
from typing import Any

import gradio as gr

from dwc.errors import DWCError
from dwc.search.models import Models
from dwc.ui.asking import RESULTS_SHOWN, ask
from dwc.ui.pictures import Pictures
from dwc.ui.uploads import refuse_addresses


def add_search_endpoint(models: Models, pictures: Pictures, concurrency_id: str) -> None:
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
                result = ask(searcher, pictures, reference, text, k, shift)
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
        inputs.append(gr.Textbox(value=models.first, visible=False, label="model"))
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
