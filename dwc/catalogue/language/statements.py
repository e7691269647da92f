"""One thing said of a garment: its words, and which values it allows.

A `Saying` is the smallest piece of the language; descriptions and wishes put several into a
sentence. What it allows is what a reader who knows the language would accept.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from dwc.catalogue.language import value_words
from dwc.catalogue.schema import COLOURS, SHADES, UNSHADED, attributes_of, patterns_of

Form = Literal["colour", "is", "has", "no"]
"""How the words enter a sentence: a colour (after "is" or "in", before the noun), an adjective
(after "is", before the noun), a thing that it has (after "has" or "with"), one that it lacks
(after "no" or "without")."""

Allowed = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Statement:
    """Words, their form, and the values that they allow of each attribute they speak of.

    `relative` are the attributes of which only somebody who sees the reference knows what is
    allowed; the others are told by the words alone.
    """

    form: Form
    text: str
    allowed: Allowed
    relative: frozenset[str] = frozenset()


def say_colour(rng: random.Random, colour: str, shade: str | None) -> Statement:
    """The colour; with a shade both are fixed, without one the shade is left open.

    Black and white have one shade, so that their bare names fix it.
    """
    allowed = {"colour": frozenset({colour})}
    if colour in UNSHADED:
        allowed["shade"] = frozenset({"mid"})
        return Statement("colour", rng.choice(value_words.BARE[colour]), allowed)
    if shade is None:
        return Statement("colour", rng.choice(value_words.BARE[colour]), allowed)
    allowed["shade"] = frozenset({shade})
    return Statement("colour", rng.choice(value_words.shaded_names(colour, shade)), allowed)


def say_pattern_in_colour(rng: random.Random, pattern: str, second_colour: str) -> Statement:
    """A pattern and its colour: `white stripes`."""
    frame = rng.choice(value_words.PATTERN_IN_COLOUR[pattern])
    text = frame.format(_beside(rng, second_colour))
    if text.startswith("a "):
        text = f"{'an' if text[2] in 'aeiou' else 'a'} {text[2:]}"
    allowed = {"pattern": frozenset({pattern}), "second_colour": frozenset({second_colour})}
    return Statement("has", text, allowed)


def say_two_colours(rng: random.Random, colour: Statement, pattern: str, second: str) -> Statement:
    """Both colours and the pattern in one: `blue and white striped`."""
    looks = value_words.PATTERN_WORDS[pattern].being
    first = min(colour.allowed["colour"])
    name = first if first in UNSHADED else colour.text
    text = f"{name} and {_beside(rng, second)} {rng.choice(looks)}"
    allowed = {
        **colour.allowed,
        "pattern": frozenset({pattern}),
        "second_colour": frozenset({second}),
    }
    return Statement("is", text, allowed, colour.relative)


def say_second_colour(rng: random.Random, second: str) -> Statement:
    """The pattern's colour alone: `white in the pattern`."""
    name = _beside(rng, second)
    frame = rng.choice(("{} in the pattern", "a pattern in {}", "{} as the second colour"))
    return Statement("has", frame.format(name), {"second_colour": frozenset({second})})


def say_value(rng: random.Random, category: str, attribute: str, value: str) -> Statement:
    """A value of any attribute but the colours, in one of the ways that fix it."""
    words = value_words.words_for(category, attribute, value)
    return _choose(rng, words, {attribute: frozenset({value})})


def say_covering(
    rng: random.Random, category: str, attribute: str, value: str, not_value: str | None = None
) -> Statement | None:
    """A word that covers several values, `value` among them and `not_value` not: `with sleeves`."""
    here = frozenset(attributes_of(category)[attribute])
    if attribute == "pattern":
        if value == "plain" or not_value not in (None, "plain"):
            return None
        return _choose(rng, value_words.PATTERNED, {"pattern": here - {"plain"}})
    for (name, values), words in value_words.COVERING.items():
        if name == attribute and value in values and not_value not in values and values <= here:
            return _choose(rng, words, {attribute: values})
    return None


def say_compared(
    rng: random.Random,
    category: str,
    attribute: str,
    before: str,
    after: str,
    by_how_much: bool = True,
) -> Statement | None:
    """`longer`, `a lot looser`: relative to `before`; None where the two are not comparable.

    Plain comparatives allow every value beyond; "a bit" allows the next one, "a lot" all but the
    next one. Before a noun these do not stand, so `by_how_much` can be turned off.
    """
    scale = value_words.scale(category, attribute)
    if before not in scale or after not in scale or before == after:
        return None
    start, end = scale.index(before), scale.index(after)
    more = end > start
    beyond = scale[start + 1 :] if more else scale[:start][::-1]
    words = value_words.compared(category, attribute)[more]
    text, form = _pick(rng, words)
    if by_how_much and form == "is" and len(beyond) > 1 and rng.random() < 0.2:
        if abs(end - start) == 1:
            beyond = beyond[:1]
            text = f"{rng.choice(('a bit', 'slightly', 'a little'))} {text}"
        else:
            beyond = beyond[1:]
            text = f"{rng.choice(('much', 'a lot', 'way'))} {text}"
    return Statement(form, text, {attribute: frozenset(beyond)}, frozenset({attribute}))


def say_busyness(rng: random.Random, category: str, before: str, after: str) -> Statement | None:
    """`busier` or `less busy` than the pattern `before`; None where neither is true."""
    start, end = value_words.BUSYNESS[before], value_words.BUSYNESS[after]
    if start == end:
        return None
    text, form = _pick(rng, value_words.compared(category, "busyness")[end > start])
    allowed = frozenset(
        pattern
        for pattern in patterns_of(category)
        if (
            value_words.BUSYNESS[pattern] > start
            if end > start
            else value_words.BUSYNESS[pattern] < start
        )
    )
    return Statement(form, text, {"pattern": allowed}, frozenset({"pattern"}))


def say_shade_compared(
    rng: random.Random, colour: str | None, before: str, after: str
) -> Statement | None:
    """`a darker blue`, or `darker` alone; None where the shades are the same."""
    start, end = SHADES.index(before), SHADES.index(after)
    if start == end:
        return None
    beyond = frozenset(SHADES[start + 1 :] if end > start else SHADES[:start])
    relative = frozenset({"shade"})
    if colour is None:
        text, form = _pick(rng, value_words.compared("dress", "shade")[end > start])
        return Statement(form, text, {"shade": beyond}, relative)
    word = rng.choice(("darker", "deeper") if end > start else ("lighter", "paler"))
    text = f"{word} {rng.choice(value_words.BARE[colour])}"
    return Statement("colour", text, {"colour": frozenset({colour}), "shade": beyond}, relative)


def say_denial(
    rng: random.Random, category: str, attribute: str, value: str, actual: str
) -> Statement | None:
    """`no stripes`, `not red`: everything but `value`; None where `actual` would not fit it."""
    if attribute == "colour":
        if value == actual:
            return None
        name = rng.choice(value_words.BARE[value])
        return Statement("is", f"not {name}", {"colour": frozenset(COLOURS) - {value}})
    names = value_words.DENIED.get((attribute, value))
    left = value_words.meant_by_denial(category, attribute, value)
    if names is None or actual not in left:
        return None
    return Statement("no", rng.choice(names), {attribute: left})


def say_different(
    rng: random.Random, category: str, attribute: str, before: str
) -> Statement | None:
    """`a different neckline`: anything but what the picture has."""
    names = value_words.ATTRIBUTE_NAMES.get(attribute)
    if names is None:
        return None
    left = frozenset(attributes_of(category)[attribute]) - {before}
    word = rng.choice(("a different", "another"))
    return Statement(
        "has", f"{word} {rng.choice(names)}", {attribute: left}, frozenset({attribute})
    )


def _beside(rng: random.Random, colour: str) -> str:
    """A colour's name as one of two: a stripe is black, not "all black"."""
    return colour if colour in UNSHADED else rng.choice(value_words.BARE[colour])


def _choose(rng: random.Random, words: value_words.Words, allowed: Allowed) -> Statement:
    text, form = _pick(rng, words)
    return Statement(form, text, allowed)


def _pick(rng: random.Random, words: value_words.Words) -> tuple[str, Form]:
    """A form that there are words for, then one of its words."""
    every: tuple[tuple[Form, tuple[str, ...]], ...] = (
        ("is", words.being),
        ("has", words.having),
        ("no", words.lacking),
    )
    forms = [(form, texts) for form, texts in every if texts]
    form, texts = rng.choice(forms)
    return rng.choice(texts), form
