"""What the comparing panels' events do: pin an answer, add other models, ask in other words."""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import gradio as gr

from dwc.errors import DWCError, QueryError
from dwc.search.models import Models
from dwc.ui.compare import Pin, pin_of, tell_comparison
from dwc.ui.notices import render_trouble
from dwc.ui.paraphrase import tell_probe
from dwc.ui.pictures import Pictures
from dwc.ui.standing import Standing


class Comparing:
    """The events of `#compare` and `#paraphrase`; each session has a pin of its own."""

    def __init__(
        self,
        models: Models,
        pictures: Pictures,
        standing: gr.State,
        panels: Mapping[str, gr.HTML],
        on_model: Mapping[str, Any],
    ) -> None:
        """Call inside `gr.Blocks`; `on_model` are the options of an event that uses the model."""
        self.models, self.pictures, self.standing = models, pictures, standing
        self.compare, self.paraphrase = panels["compare"], panels["paraphrase"]
        self.options: dict[str, Any] = {"show_progress": "hidden", **on_model}
        self.pin = gr.State(None)

    def connect(self) -> None:
        """Connect what a person does in the panels."""
        pinning = self.compare.pin(
            self._pin_or_drop, self.standing, [self.compare, self.pin], **self.options
        )
        pinning.then(None, js=_refocus("pin"), api_visibility="private")
        probing = self.paraphrase.probe(self._probe, self.standing, self.paraphrase, **self.options)
        probing.then(None, js=_refocus("probe"), api_visibility="private")

    def after(self, event: Any) -> None:
        """Once an answer is explained, add the columns that its own model does not have."""
        event.then(self._add_columns, [self.standing, self.pin], self.compare, **self.options)

    def _pin_or_drop(self, standing: Standing | None, event: gr.EventData) -> list[Any]:
        if standing is None:
            return [gr.skip(), gr.skip()]
        pin = None
        if event._data.get("keep") is True:
            name = standing.model if len(self.models.names) > 1 else ""
            pin = pin_of(standing, self.pictures, name)
        return [self._tell(standing, pin), pin]

    def _add_columns(self, standing: Standing | None, pin: Pin | None) -> Any:
        if standing is None or (pin is None and not self._others_of(standing)):
            return gr.skip()
        return self._tell(standing, pin)

    def _probe(self, standing: Standing | None, event: gr.EventData) -> Any:
        if standing is None:
            return gr.skip()
        try:
            with self.models.using(standing.model) as searcher:
                return tell_probe(searcher, self.pictures, standing, event._data.get("wordings"))
        except DWCError as error:  # the model cannot be loaded again
            return render_trouble(str(error))

    def _others_of(self, standing: Standing) -> list[str]:
        """Those in memory: a comparison loads no model that nobody chose."""
        return [name for name in self.models.in_memory if name != standing.model]

    def _tell(self, standing: Standing, pin: Pin | None) -> str:
        try:
            with ExitStack() as used:
                searcher = used.enter_context(self.models.using(standing.model))
                names = self._others_of(standing)
                others = {name: used.enter_context(self.models.using(name)) for name in names}
                try:
                    return tell_comparison(searcher, self.pictures, standing, pin, others)
                except QueryError:  # another model may read fewer words
                    return tell_comparison(searcher, self.pictures, standing, pin)
        except DWCError as error:
            return render_trouble(str(error))


def _refocus(id: str) -> str:
    """Give the focus back to a button that was written anew, unless it has gone elsewhere."""
    return (
        "() => { if (document.activeElement === document.body) "
        f"document.getElementById('{id}')?.focus(); }}"
    )
