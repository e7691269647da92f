"""The public endpoints `/map` and `/atlas`: a gallery's map and a checkpoint's usual weights."""

from typing import Any

import gradio as gr

from dwc.errors import DWCError
from dwc.search.models import Models
from dwc.ui.atlas import atlas_table
from dwc.ui.map import map_table

PAGE = 10_000
"""How many pictures' places `/map` tells at once, unless asked for another number."""


def add_overview_endpoints(models: Models) -> None:
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
                return atlas_table(searcher)
        except DWCError as error:
            raise gr.Error(str(error), print_exception=False) from error

    gr.api(tell_map, api_name="map")
    gr.api(tell_atlas, api_name="atlas")
