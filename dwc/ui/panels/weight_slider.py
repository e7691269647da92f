"""The slider that leans a search: from only the words, over as learned, to only the picture."""

from collections.abc import Mapping

from dwc.search.results import Weight, mean_image_weight
from dwc.ui.format import on_load, percents

STEPS = 1000

ON_LOAD = on_load("dwcPanels.weightSlider", "lean", "rest")


def render_slider(weights: Mapping[str, Weight], at: float | None = None) -> str:
    """The slider `at` a mean weight, by default the learned `weights`' own.

    Empty where nothing has been searched.
    """
    if not weights:
        return ""
    mean = mean_image_weight(weights)
    picture, words = percents(mean)
    if not any(0 < weight.image < 1 for weight in weights.values()):
        return (
            '<div class="lean"><p class="sr-only">There is nothing to lean to: the search has '
            "only one of picture and words.</p></div>"
        )
    learned = round(STEPS * mean)
    stands = learned if at is None else round(STEPS * at)
    said = f"picture {picture} %, words {words} %"
    if stands == learned:
        said = f"as learned: {said}"
    else:
        said = "picture {} %, words {} %".format(*percents(stands / STEPS))
    state = "disabled" if stands == learned else ""
    return (
        f'<div class="lean"><input type="range" min="0" max="{STEPS}" step="1" value="{stands}" '
        f'data-learned="{learned}" aria-label="Lean the search: left to the words, right to the '
        f'picture" aria-valuetext="{said}">'
        f'<button type="button" id="learned" style="--at:{100 * mean:.2f}%" {state}>as learned'
        "</button></div>"
    )
