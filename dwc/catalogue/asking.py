"""How wishes are asked: sayings made into one or two captions in the annotators' manner."""

import random
from collections.abc import Sequence

from dwc.catalogue.nouns import PLURAL, Noun, generic_nouns
from dwc.catalogue.phrases import adjectives, change, noun_phrase, predicate
from dwc.catalogue.sayings import Saying
from dwc.catalogue.schema import COMMON, Garment

_TWO_CAPTIONS_SHARE = 0.7  # of wishes with at least two things to say

# What may stand before a change that is not a sentence: "same but longer". {} is the noun.
_ALONE = ("same but", "the same {} but", "just like this but", "exactly the same only")
_OPENINGS = (
    "make it", "i want it", "i'd like it", "like this but", "similar but", "same style but",
    "looks similar but",
)  # fmt: skip
_OPENINGS_PLURAL = (
    "make them", "i want them", "i'd like them", "like these but", "similar but", "same style but",
    "look similar but",
)  # fmt: skip
# These want an adjective: nobody asks "could it be with a belt".
_TO_BE = ("should be", "could it be", "needs to be")
_TO_BE_PLURAL = ("should be", "could they be", "need to be")


def phrase_wish(
    reference: Garment, sayings: Sequence[Saying], rng: random.Random
) -> tuple[str, ...]:
    """One or two captions which together say all of `sayings`."""
    order = list(sayings)
    rng.shuffle(order)
    if len(order) > 1 and rng.random() < _TWO_CAPTIONS_SHARE:
        cut = rng.randrange(1, len(order))
        first, second = order[:cut], order[cut:]
        return tuple(_caption(reference, part, rng, alone=False) for part in (first, second))
    if len(order) == 1 and rng.random() < 0.15:  # two annotators, one observation
        return tuple(_caption(reference, order, rng, alone=False) for _ in range(2))
    return (_caption(reference, order, rng, alone=True),)


def phrase_change_of_category(
    reference: Garment, target: Garment, noun: Noun, sayings: Sequence[Saying], rng: random.Random
) -> tuple[str, ...]:
    """`as a skirt with a belt`, `a bag in the same colours`."""
    order = list(sayings)
    rng.shuffle(order)
    plural = target.category in PLURAL
    spoken = {name for saying in sayings for name in saying.allowed}
    second: tuple[str, ...] = ()
    if len(order) > 1 and rng.random() < 0.4:
        cut = rng.randrange(1, len(order))
        order, rest = order[:cut], order[cut:]
        second = (predicate(rng, rest, plural),)
    thing = noun_phrase(rng, noun.text, order, plural)
    frames = ["as {}", "{}", "{} instead", "make it {}", "is {}", "show me {} like this"]
    if not order and not spoken & set(COMMON):
        frames += [
            "{} in the same colours",
            "the same look as {}",
            "{} to match",
            "{} with this look",
        ]
    pattern_stays = not spoken & {"pattern", "second_colour"} and target["pattern"] != "plain"
    if pattern_stays and reference["pattern"] == target["pattern"]:
        frames += ["the same pattern on {}", "{} with the same print"]
    return (rng.choice(frames).format(thing), *second)


def _caption(reference: Garment, sayings: Sequence[Saying], rng: random.Random, alone: bool) -> str:
    """One caption; `alone` where it says the whole wish: the rest may be called the same."""
    plural = reference.category in PLURAL
    noun = rng.choice(generic_nouns(reference.category)).text
    draw = rng.random()
    if alone and draw < 0.3:
        opening = rng.choice(_ALONE).format(noun)
        return f"{opening} {change(rng, sayings)}"
    if draw < 0.42:
        return change(rng, sayings)
    if draw < 0.52:
        openings = list(_OPENINGS_PLURAL if plural else _OPENINGS)
        if adjectives(sayings):
            openings += _TO_BE_PLURAL if plural else _TO_BE
        return f"{rng.choice(openings)} {change(rng, sayings)}"
    if draw < 0.6:
        subject = f"the {noun}" if rng.random() < 0.6 else ("they" if plural else "it")
        return f"{subject} {predicate(rng, sayings, plural)}"
    # Annotators often write "is" and "has" of a pair, too.
    return predicate(rng, sayings, plural and rng.random() < 0.6)
