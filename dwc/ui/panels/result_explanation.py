"""Panels that explain a result and its query: the score split, the word effects, the model's input.

- The score split shows the parts that add up to the score of the selected result: for each
  stream of the model, one part for the image and one for the text. It is a waterfall chart: the bar
  of each part begins where the previous bar ends, so the last bar ends at the score. The panel also
  lists the result's ranks by the image alone, by the text alone, by both with equal weights, and by
  the learned weights.
- The word effects show how much each word changes the image weight and the score of the selected
  result. To measure an effect, the model encodes the query again without the word.
- The model's input is the preprocessed reference image and the tokenized text.
"""

import base64
import io

from PIL import Image

from dwc.explain.score_split import ScoreExplanation, explain_score
from dwc.explain.text_perturbations import WordEffect, WordEffects, ablate_words
from dwc.modeling.text_cleaning import TypedText
from dwc.search.query import ModelInput, describe_model_input
from dwc.search.searcher import Searcher
from dwc.ui.format import (
    escape,
    format_count,
    format_part,
    format_percentile,
    render_hint,
    round_to_sum,
    signed,
)
from dwc.ui.gallery_images import GalleryImages, large_url, url_of
from dwc.ui.panels.results import order_parts
from dwc.ui.state import SearchState

_RANKED = {
    "picture": "by the picture alone",
    "words": "by the words alone",
    "average": "by their plain average",
    "learned": "as learned",
}


def render_score_panel(searcher: Searcher, images: GalleryImages, state: SearchState) -> str:
    """Return the HTML that explains the selected result's score: a chart, and a list of ranks.

    The ranks are by image, by text, by both with equal weights, and by the learned weights.
    """
    explanation = explain_score(state.sweep, state.selected_hit, state.request.shift)
    return render_score_split(explanation, images)


def render_score_split(explanation: ScoreExplanation, images: GalleryImages) -> str:
    """Return the HTML of a waterfall chart of a result's score, and of a list of its ranks.

    Args:
        explanation: The parts of the score, and the result's ranks by image, by text, by both with
            equal weights, and by the learned weights.
        images: The gallery.
    """
    name = escape(images.describe(explanation.id))
    thumbnail = escape(url_of(images.thumbnail(explanation.id)))
    large = escape(large_url(explanation.id, images.digest(explanation.id)))
    return (
        f'<div class="why-head"><button type="button" class="enlarge" aria-label="Enlarge {name}" '
        f'data-large="{large}"><img src="{thumbnail}" width="56" height="56" alt="{name}"></button>'
        f"<h3>Why no. {explanation.rank} scores {signed(explanation.score)}</h3></div>"
        f"{_waterfall(explanation)}{_facts(explanation)}"
        '<p class="hint">The parts add up to the score exactly. Each has seen the other side '
        "already: the weight mixes edited features.</p>"
    )


def _waterfall(explanation: ScoreExplanation) -> str:
    names = order_parts(explanation.parts)
    values = [explanation.parts[name] for name in names]
    ends = [sum(values[: index + 1]) for index in range(len(values))]
    low, high = min(0.0, *ends), max(0.0, *ends)
    span = (high - low) or 1.0
    rounded_values = round_to_sum(values, explanation.score)
    rows = []
    for name, value, end, rounded in zip(names, values, ends, rounded_values, strict=True):
        left = 100 * (min(end, end - value) - low) / span
        sign = "+" if rounded > 0 else ""
        rows.append(
            f"<tr><th scope='row'>{escape(format_part(name))}</th><td class='steps'>"
            f'<i class="step {escape(name)}{" negative" if value < 0 else ""}" '
            f'style="left:{left:.2f}%;width:{100 * abs(value) / span:.2f}%"></i></td>'
            f'<td class="number" data-value="{value:.6f}">{sign}{signed(rounded)}</td></tr>'
        )
    total = 100 * (explanation.score - low) / span
    return (
        f'<table class="waterfall"><tbody>{"".join(rows)}</tbody><tfoot><tr><th scope="row">score'
        f'</th><td class="steps"><i class="total" style="left:{total:.2f}%"></i></td>'
        f'<td class="number"><b>{signed(explanation.score)}</b></td></tr></tfoot></table>'
    )


def _facts(explanation: ScoreExplanation) -> str:
    facts = [
        f"{format_percentile(explanation.percentile).capitalize()} of the "
        f"{format_count(explanation.ranked)} pictures"
    ]
    if explanation.margin is not None:
        facts.append(f"{explanation.margin:.3f} ahead of the next")
    ranks = [
        f"{format_count(rank)} {_RANKED[reading]}"
        for reading, rank in explanation.ranks.items()
        if rank is not None
    ]
    if len(ranks) > 1:
        facts.append(f"Rank {', '.join(ranks)}")
    return '<ul class="facts">' + "".join(f"<li>{fact}</li>" for fact in facts) + "</ul>"


_NO_EFFECT = 0.005
"""Changes of the image weight below this limit are shown as no effect, since they round to 0 %."""

NO_WORDS = render_hint("The search has no words.")
ONE_WORD = render_hint("Without its only word there would be no search to compare with.")


def render_words_panel(searcher: Searcher, images: GalleryImages, state: SearchState) -> str:
    """Return the HTML of a table: each word's effect on the image weight and the result's score."""
    selected, shift = state.selected_hit, state.request.shift
    rank = explain_score(state.sweep, selected, shift).rank
    return render_word_effects(ablate_words(searcher, state.query, selected, shift), rank)


def render_word_effects(effects: WordEffects, rank: int | None) -> str:
    """Return the HTML of a table of the words' effects, with one row per word.

    A bar to the right means that the word increases the image weight; a bar to the left means that
    the word decreases the image weight.

    Args:
        effects: The effects of the words.
        rank: The rank of the selected result; None to omit the column with the effects on the
            result's score.
    """
    heading = "<h3>What each word did</h3>"
    if not effects.words:
        return heading + (ONE_WORD if effects.weights else NO_WORDS)
    means = [_mean_effect(effect) for effect in effects.words]
    most = max(max(map(abs, means)), 0.05)
    rows = "".join(
        _word_row(effect, mean, most) for effect, mean in zip(effects.words, means, strict=True)
    )
    score = "" if rank is None else f'<th scope="col">score of no. {rank}</th>'
    return (
        f'{heading}<table class="word-effects"><thead><tr><th scope="col">word</th>'
        f'<th scope="col" colspan="2">weight</th>{score}</tr></thead><tbody>{rows}</tbody></table>'
        '<p class="hint">The search once more without each word. Words act together, so the '
        "effects do not add up.</p>"
    )


def _mean_effect(effect: WordEffect) -> float:
    return sum(effect.weight_effect.values()) / len(effect.weight_effect)


def _word_row(effect: WordEffect, mean: float, most: float) -> str:
    word = escape(effect.word)
    if effect.unknown:
        word = (
            f'<s>{word}</s><span class="aside">not known to the CNN stream, which hears it as any '
            "unknown word</span>"
        )
    has_effect = abs(mean) >= _NO_EFFECT
    side = "picture" if mean > 0 else "words"
    points = round(abs(100 * mean))
    unit = "point" if points == 1 else "points"
    effect_in_words = f"{points} {unit} to the {side}" if has_effect else "no effect"
    width = 50 * abs(mean) / most
    left = 50 - (width if mean < 0 else 0)
    score = ""
    if effect.score_effect is not None:
        sign = "+" if effect.score_effect >= 0.005 else ""
        score = f'<td class="number">{sign}{signed(effect.score_effect)}</td>'
    return (
        f'<tr><th scope="row">{word}</th><td class="steps"><i class="pull {side}" '
        f'style="left:{left:.2f}%;width:{width:.2f}%"></i></td>'
        f'<td class="said">{effect_in_words}</td>{score}</tr>'
    )


def render_input_panel(searcher: Searcher, images: GalleryImages, state: SearchState) -> str:
    """Return the HTML of the model's input for the query: the preprocessed image and the tokens."""
    model_input = describe_model_input(searcher.checkpoint, state.query)
    return render_model_input(model_input, state.query.typed)


def render_model_input(model_input: ModelInput, typed: TypedText | None = None) -> str:
    """Return the HTML of a collapsed note with the input of each of the model's streams.

    Args:
        model_input: The input of each stream.
        typed: The text that the visitor typed. It is shown only if its end was cut off because the
            text was too long. None to omit it.
    """
    figure = ""
    if model_input.picture is not None:
        width, height = model_input.picture.size
        figure = (
            f'<figure><img class="pixels" src="{_data_url(model_input.picture)}" width="128" '
            f'height="128" alt="The reference as the model sees it">'
            f"<figcaption>the picture, {width} by {height} pixels</figcaption></figure>"
        )
    rows = "" if typed is None else _typed_row(typed)
    if model_input.text:
        rows += f"<dt>sent</dt><dd><q>{escape(model_input.text)}</q></dd>"
    if model_input.clip_pieces:
        pieces = "".join(f"<li>{escape(piece)}</li>" for piece in model_input.clip_pieces)
        rows += f'<dt>CLIP read</dt><dd><ol class="tokens">{pieces}</ol></dd>'
    if model_input.words:
        words = "".join(
            f"<li>{escape(word.word)}</li>"
            if word.known
            else f'<li><s>{escape(word.word)}</s><span class="sr-only"> unknown</span></li>'
            for word in model_input.words
        )
        rows += f'<dt>the CNN stream read</dt><dd><ol class="tokens">{words}</ol></dd>'
    if model_input.excluded:
        names = ", ".join(f"<q>{escape(name)}</q>" for name in model_input.excluded)
        rows += f"<dt>subtracted</dt><dd>{names}, since the words exclude it</dd>"
    return (
        '<details class="note"><summary>What the model read</summary>'
        f'<div class="read">{figure}<dl>{rows}</dl></div></details>'
    )


def _typed_row(typed: TypedText) -> str:
    """Return the HTML of the typed text, with the part that the model does not read struck through.

    This part is the end of a text that is too long. For any other text, the result is empty.
    """
    if not typed.cut:
        return ""
    return (
        f"<dt>typed</dt><dd><q>{escape(typed.text)}</q> "
        f'<s>{escape(typed.cut)}</s><span class="sr-only"> not read</span></dd>'
    )


def _data_url(image: Image.Image) -> str:
    content = io.BytesIO()
    image.save(content, "PNG", compress_level=1)  # a photograph is hardly smaller at others
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
