"""What a search listens to: the sentence, and the dial with where each stream stands."""

from collections.abc import Mapping

from dwc.search.reference_weights import HISTOGRAM_BINS, QueryWeights, ReferenceWeights
from dwc.search.results import Weight, mean_image_weight
from dwc.ui.format import escape, name_stream, percents, weight_in_words

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


def render_weights(
    weights: Mapping[str, Weight],
    leaned: bool = False,
    told: QueryWeights | None = None,
    context: ReferenceWeights | None = None,
) -> str:
    """The sentence and the dial; empty where nothing has been searched.

    `leaned` weights are not what the model chose, and the sentence says so. `told` puts the weights
    in their context, which is drawn behind the dial: how other queries were weighed.
    """
    if not weights:
        return ""
    mean = mean_image_weight(weights)
    note = "" if told is None else f'<p class="hint">{escape(told.summary)}</p>'
    return f'<p class="sentence">{_sentence(mean, leaned)}</p>{note}{_dial(weights, context)}'


def _sentence(image_weight: float, leaned: bool) -> str:
    picture, words = percents(image_weight)
    listens = "Leaned by hand, this search listens to" if leaned else "This search listens to"
    if picture == 100:
        return f'{listens} <b class="of-image">the picture alone</b>.'
    if words == 100:
        return f'{listens} <b class="of-text">the words alone</b>.'
    return (
        f'{listens} <b class="of-image">the picture {picture}&nbsp;%</b> '
        f'and to <b class="of-text">the words {words}&nbsp;%</b>.'
    )


def _dial(weights: Mapping[str, Weight], context: ReferenceWeights | None) -> str:
    pins = "".join(
        _pin(stream, weight, below=place % 2 == 1)
        for place, (stream, weight) in enumerate(weights.items())
    )
    spoken = " ".join(
        f"The {name_stream(stream)} stream listens {weight_in_words(weight.image)}: "
        f"picture {percents(weight.image)[0]} %, words {percents(weight.image)[1]} %."
        for stream, weight in weights.items()
    )
    return (
        f'<div class="dial"><p class="sr-only">{escape(spoken)}</p>'
        f'<div class="scale" aria-hidden="true">{_others(context)}'
        f'<i class="track"></i>{pins}</div>'
        '<div class="ends" aria-hidden="true"><span class="of-text">only the words</span>'
        '<span class="of-image">only the picture</span></div></div>'
    )


def _others(context: ReferenceWeights | None) -> str:
    """How often other queries had each weight: a hill along the track."""
    if context is None:
        return ""
    points = " ".join(
        f"{(place + 0.5) / HISTOGRAM_BINS * 100:.2f},{20 - 20 * height:.2f}"
        for place, height in enumerate(context.histogram)
    )
    return (
        '<svg class="others" viewBox="0 0 100 20" preserveAspectRatio="none">'
        f'<polygon points="0,20 {points} 100,20"/></svg>'
    )


def _pin(stream: str, weight: Weight, below: bool) -> str:
    # The label shifts left by the same share as it stands to the right: it never leaves the dial.
    place = 100 * weight.image
    side = "below" if below else "over"
    return (
        f'<i class="pin {side}" style="left:{place:.2f}%"></i>'
        f'<span class="pin-label {side}" data-stream="{escape(stream)}" '
        f'data-weight="{weight.image:.6f}" '
        f'style="left:{place:.2f}%;transform:translateX(-{place:.2f}%)">'
        f"<b>{escape(name_stream(stream))}</b> "
        f"listens {escape(weight_in_words(weight.image))}</span>"
    )
