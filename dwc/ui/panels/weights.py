"""Display of a search's image and text weights: a sentence, a dial, and the slider.

The dial is a scale from 0 (text part alone) to 1 (image part alone), with a mark at each stream's
image weight. With the slider, a visitor changes the weights, and the results are ranked again.
"""

from collections.abc import Mapping

from dwc.search.reference_weights import HISTOGRAM_BINS, ReferenceWeights, describe_weights
from dwc.search.results import Weight, mean_image_weight
from dwc.ui.format import escape, format_stream, on_load, percents, weight_in_words
from dwc.ui.state import SearchState

SLIDER_STEPS = 1000
SLIDER_ON_LOAD = on_load("dwcPanels.weightSlider", "lean", "rest")

WHAT_IT_IS_NOT = """
<details class="note"><summary>What these percentages are, and what they are not</summary>
<p>The model reads your question twice: once with <b>CLIP</b>, which has learned what pictures and
sentences have in common, and once with a <b>CNN</b>, which compares regions of the picture with
single words. For every question anew, each of the two decides how to mix what it took from the
picture with what it took from the words. The sentence gives their average.</p>
<p>They are not shares of the result. What gets mixed has been edited before, the picture in the
light of the words and the words in the light of the picture, and the two can differ in strength.
So 56&nbsp;% does not mean that 56&nbsp;% of a score comes from the picture. What does come from
it is in the bar under each result, exactly, part by part.</p></details>
"""


def render_answer_weights(state: SearchState) -> str:
    """Return the HTML of a search's weights: two sentences and a dial.

    One sentence states the weights, the other compares them with those of other queries. The
    weights are those of the current ranking: the learned weights, or the weights that the
    visitor set with the slider.
    """
    weights, shift = state.result.weights, state.result.shift
    composed, reference_weights = state.query.encoding.composed, state.reference_weights
    context = describe_weights(composed, reference_weights, shift)
    return render_weights(weights, shift != 0, context.summary, reference_weights)


def render_weights(
    weights: Mapping[str, Weight],
    is_shifted: bool = False,
    summary: str = "",
    reference_weights: ReferenceWeights | None = None,
) -> str:
    """Return the HTML of the weights, as a sentence and a dial; empty before the first search.

    Args:
        weights: The weights by the stream's name; empty before the first search.
        is_shifted: Whether the visitor changed the weights. If so, the sentence mentions this.
        summary: A sentence that compares the weights with those of other queries; empty to omit it.
        reference_weights: The model's weights for the reference queries (a fixed set), drawn as a
            curve behind the dial; None to omit the curve.
    """
    if not weights:
        return ""
    mean = mean_image_weight(weights)
    note = f'<p class="hint">{escape(summary)}</p>' if summary else ""
    dial = _dial(weights, reference_weights)
    return f'<p class="sentence">{_sentence(mean, is_shifted)}</p>{note}{dial}'


def render_answer_slider(state: SearchState) -> str:
    """Return the HTML of the slider, set to the mean image weight of the current ranking."""
    return render_slider(state.sweep.weights(), mean_image_weight(state.result.weights))


def render_slider(weights: Mapping[str, Weight], position: float | None = None) -> str:
    """Return the HTML of the slider of the mean image weight.

    The slider goes from 0 (text part alone) to 1 (image part alone). If the query has only an image
    or only a text, the result is a message instead.

    Args:
        weights: The learned weights by the stream's name; if it is empty, the result is empty.
        position: The mean image weight to which the slider is set; None for the learned weights.
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
    learned = round(SLIDER_STEPS * mean)
    value = learned if position is None else round(SLIDER_STEPS * position)
    spoken = f"picture {picture} %, words {words} %"
    if value == learned:
        spoken = f"as learned: {spoken}"
    else:
        spoken = "picture {} %, words {} %".format(*percents(value / SLIDER_STEPS))
    disabled = "disabled" if value == learned else ""
    return (
        f'<div class="lean"><input type="range" min="0" max="{SLIDER_STEPS}" step="1" '
        f'value="{value}" data-learned="{learned}" aria-label="Lean the search: left to the words, '
        f'right to the picture" aria-valuetext="{spoken}">'
        f'<button type="button" id="learned" style="--at:{100 * mean:.2f}%" {disabled}>as learned'
        "</button></div>"
    )


def _sentence(image_weight: float, is_shifted: bool) -> str:
    picture, words = percents(image_weight)
    start = "Leaned by hand, this search listens to" if is_shifted else "This search listens to"
    if picture == 100:
        return f'{start} <b class="of-image">the picture alone</b>.'
    if words == 100:
        return f'{start} <b class="of-text">the words alone</b>.'
    return (
        f'{start} <b class="of-image">the picture {picture}&nbsp;%</b> '
        f'and to <b class="of-text">the words {words}&nbsp;%</b>.'
    )


def _dial(weights: Mapping[str, Weight], reference_weights: ReferenceWeights | None) -> str:
    pins = "".join(
        _pin(stream, weight, below=index % 2 == 1)
        for index, (stream, weight) in enumerate(weights.items())
    )
    spoken = " ".join(
        f"The {format_stream(stream)} stream listens {weight_in_words(weight.image)}: "
        f"picture {percents(weight.image)[0]} %, words {percents(weight.image)[1]} %."
        for stream, weight in weights.items()
    )
    return (
        f'<div class="dial"><p class="sr-only">{escape(spoken)}</p>'
        f'<div class="scale" aria-hidden="true">{_distribution(reference_weights)}'
        f'<i class="track"></i>{pins}</div>'
        '<div class="ends" aria-hidden="true"><span class="of-text">only the words</span>'
        '<span class="of-image">only the picture</span></div></div>'
    )


def _distribution(reference_weights: ReferenceWeights | None) -> str:
    """Return an SVG curve for the dial: the distribution of the reference weights.

    These are the image weights that the model gives the reference queries (a fixed set). The result
    is empty if `reference_weights` is None.
    """
    if reference_weights is None:
        return ""
    points = " ".join(
        f"{(index + 0.5) / HISTOGRAM_BINS * 100:.2f},{20 - 20 * height:.2f}"
        for index, height in enumerate(reference_weights.histogram)
    )
    return (
        '<svg class="others" viewBox="0 0 100 20" preserveAspectRatio="none">'
        f'<polygon points="0,20 {points} 100,20"/></svg>'
    )


def _pin(stream: str, weight: Weight, below: bool) -> str:
    # The label is shifted left by the same percentage of its width, so that it stays in the dial.
    left = 100 * weight.image
    side = "below" if below else "over"
    return (
        f'<i class="pin {side}" style="left:{left:.2f}%"></i>'
        f'<span class="pin-label {side}" data-stream="{escape(stream)}" '
        f'data-weight="{weight.image:.6f}" '
        f'style="left:{left:.2f}%;transform:translateX(-{left:.2f}%)">'
        f"<b>{escape(format_stream(stream))}</b> "
        f"listens {escape(weight_in_words(weight.image))}</span>"
    )
