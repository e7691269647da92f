"""Panel with the effect of each word on the image weight and on the selected result's score.

To measure the effect of a word, the model encodes the query again without this word.
"""

from dwc.explain.score_split import explain_score
from dwc.explain.text_perturbations import WordEffect, WordEffects, ablate_words
from dwc.search.searcher import Searcher
from dwc.ui.format import escape, render_hint, signed
from dwc.ui.gallery_images import GalleryImages
from dwc.ui.state import SearchState

_NO_EFFECT = 0.005
"""Smaller changes of the image weight round to 0 percentage points and are shown as no effect."""

NO_WORDS = render_hint("The search has no words.")
ONE_WORD = render_hint("Without its only word there would be no search to compare with.")


def render(searcher: Searcher, images: GalleryImages, state: SearchState) -> str:
    """Return the HTML of the panel for the selected result."""
    selected, shift = state.selected_hit, state.request.shift
    rank = explain_score(state.sweep, selected, shift).rank
    return render_word_effects(ablate_words(searcher, state.query, selected, shift), rank)


def render_word_effects(effects: WordEffects, rank: int | None) -> str:
    """Return the HTML of a table with one row per word.

    A bar to the right means that the word raises the image weight. A bar to the left means that it
    lowers the image weight.

    Args:
        effects: The effects of the words.
        rank: The rank of the selected result; None to omit the column with the effects on the
            result's score.
    """
    heading = "<h3>What each word did</h3>"
    if not effects.words:
        return heading + (ONE_WORD if effects.weights else NO_WORDS)
    means = [_mean(effect) for effect in effects.words]
    most = max(max(map(abs, means)), 0.05)
    rows = "".join(
        _row(effect, mean, most) for effect, mean in zip(effects.words, means, strict=True)
    )
    score = "" if rank is None else f'<th scope="col">score of no. {rank}</th>'
    return (
        f'{heading}<table class="word-effects"><thead><tr><th scope="col">word</th>'
        f'<th scope="col" colspan="2">weight</th>{score}</tr></thead><tbody>{rows}</tbody></table>'
        '<p class="hint">The search once more without each word. Words act together, so the '
        "effects do not add up.</p>"
    )


def _mean(effect: WordEffect) -> float:
    return sum(effect.weight_effect.values()) / len(effect.weight_effect)


def _row(effect: WordEffect, mean: float, most: float) -> str:
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
