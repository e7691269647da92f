"""What to say of each difference between two garments: absolutely, by comparison, by denial."""

import random
from collections.abc import Collection

from dwc.catalogue.language.statements import (
    Statement,
    say_busyness,
    say_colour,
    say_compared,
    say_covering,
    say_denial,
    say_different,
    say_pattern_in_colour,
    say_second_colour,
    say_shade_compared,
    say_two_colours,
    say_value,
)
from dwc.catalogue.schema import COMMON, UNSHADED, Garment

# How a difference is spoken of, where the way is open; the rest is said absolutely.
DENIED_SHARE = 0.2
COMPARED_SHARE = 0.7  # only some attributes can be compared, so that of all about a third are
DIFFERENT_SHARE = 0.04
COVERED_SHARE = 0.2


def say_change(reference: Garment, target: Garment, name: str, rng: random.Random) -> Statement:
    """Ask for the target's value of an attribute beyond colour and pattern."""
    category, before, after = target.category, reference[name], target[name]
    if rng.random() < DENIED_SHARE and (denial := say_denial(rng, category, name, before, after)):
        return denial
    # "Shorter sleeves" and "a lower heel" are not how people ask for none at all.
    comparable = before != "sleeveless" and after not in ("sleeveless", "flat")
    if (
        comparable
        and rng.random() < COMPARED_SHARE
        and (compared := say_compared(rng, category, name, before, after))
    ):
        return compared
    if rng.random() < COVERED_SHARE and (
        covering := say_covering(rng, category, name, after, before)
    ):
        return covering
    if rng.random() < DIFFERENT_SHARE and (different := say_different(rng, category, name, before)):
        return different
    return say_value(rng, category, name, after)


def say_look_change(
    reference: Garment,
    target: Garment,
    changed: Collection[str],
    rng: random.Random,
    plainly: bool = False,
) -> list[Statement]:
    """Ask for the target's colour, shade, pattern and second colour as far as they are `changed`.

    `plainly` says them absolutely.
    """
    colour = _colour_change(reference, target, changed, rng, plainly)
    pattern = _pattern_change(reference, target, changed, rng, plainly)
    named = colour is not None and colour.form == "colour"
    told = pattern is not None and pattern.allowed.keys() == {"pattern", "second_colour"}
    if colour and named and told and rng.random() < 0.4:
        return [say_two_colours(rng, colour, target["pattern"], target["second_colour"])]
    return [saying for saying in (colour, pattern) if saying]


def _colour_change(
    reference: Garment,
    target: Garment,
    changed: Collection[str],
    rng: random.Random,
    plainly: bool,
) -> Statement | None:
    before, after = reference["colour"], target["colour"]
    comparable = "shade" in changed and not {before, after} & UNSHADED and not plainly
    if "colour" not in changed:
        if "shade" not in changed:
            return None
        if comparable and rng.random() < COMPARED_SHARE:
            named = after if rng.random() < 0.2 else None
            return say_shade_compared(rng, named, reference["shade"], target["shade"])
        if rng.random() < 0.5:
            return say_value(rng, target.category, "shade", target["shade"])
        return say_colour(rng, after, target["shade"])
    draw = rng.random()
    if not plainly:
        if draw < 0.05:
            return say_denial(rng, target.category, "colour", before, after)
        if draw < 0.08:
            return say_different(rng, target.category, "colour", before)
        if draw < 0.3 and comparable:
            return say_shade_compared(rng, after, reference["shade"], target["shade"])
    shade_said = 0.8 if "shade" in changed else 0.35
    return say_colour(rng, after, target["shade"] if rng.random() < shade_said else None)


def _pattern_change(
    reference: Garment,
    target: Garment,
    changed: Collection[str],
    rng: random.Random,
    plainly: bool,
) -> Statement | None:
    before, after, second = reference["pattern"], target["pattern"], target["second_colour"]
    if "pattern" not in changed:
        if "second_colour" not in changed:
            return None
        if rng.random() < 0.4:
            return say_second_colour(rng, second)
        return say_pattern_in_colour(rng, after, second)
    if not plainly:
        vague = _vague_pattern_change(before, after, target.category, rng)
        if vague:
            return vague
    # A pattern on a plain garment may leave its colour open; another pattern keeps the colour.
    second_said = 0.55 if before == "plain" else 1.0 if "second_colour" in changed else 0.15
    if after != "plain" and rng.random() < second_said:
        return say_pattern_in_colour(rng, after, second)
    return say_value(rng, target.category, "pattern", after)


def _vague_pattern_change(
    before: str, after: str, category: str, rng: random.Random
) -> Statement | None:
    draw = rng.random()
    if draw < 0.14:
        return say_denial(rng, category, "pattern", before, after)
    if draw < 0.32:
        return say_busyness(rng, category, before, after)
    if draw < 0.36:
        return say_different(rng, category, "pattern", before)
    if draw < 0.44:
        return say_covering(rng, category, "pattern", after, before)
    return None


def say_unchanged(target: Garment, spoken: Collection[str], rng: random.Random) -> list[Statement]:
    """Name one thing that is not among `spoken`, though the picture shows it; empty where none."""
    names = [
        name
        for name in target.attributes
        if name not in spoken and (name not in COMMON or name == "colour")
    ]
    if not names:
        return []
    name = rng.choice(names)
    if name == "colour":  # with its shade: the bare name would unsettle the shade seen
        if "shade" in spoken:
            return []
        return [say_colour(rng, target["colour"], target["shade"])]
    return [say_value(rng, target.category, name, target[name])]
