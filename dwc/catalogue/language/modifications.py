"""How wishes are asked: sayings made into one or two captions in the annotators' manner.

Wishes: the words that turn one garment into another, and what exactly they ask for.

How a wish is read, everywhere in the catalogue:

- An attribute that the words speak of takes one of the values they *allow*.
- One of which they say nothing stays as it is in the picture.
- A few are *free*, told by neither. A colour named without a shade leaves the shade free. A pattern
  put on a plain garment leaves its colour free; so does one that is changed in a way that leaves
  "plain" possible. Where the picture's second colour has become the main one, it is free too. And
  when the category changes, all that the new category has beyond colour, shade, pattern and second
  colour is free, since the picture shows another kind of thing.
- Some words settle two attributes: "navy" colour and shade, "black" and "white" as well (they have
  one shade), "plain" pattern and second colour. Both count as told.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dwc.catalogue.language.changes import say_change, say_look_change, say_unchanged
from dwc.catalogue.language.grammar import adjectives, change, noun_phrase, predicate
from dwc.catalogue.language.nouns import PLURAL, Noun, generic_nouns, nouns_for
from dwc.catalogue.language.statements import Allowed, Statement
from dwc.catalogue.schema import COMMON, UNSHADED, Garment, attributes_of

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
    reference: Garment, sayings: Sequence[Statement], rng: random.Random
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
    reference: Garment,
    target: Garment,
    noun: Noun,
    sayings: Sequence[Statement],
    rng: random.Random,
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


def _caption(
    reference: Garment, sayings: Sequence[Statement], rng: random.Random, alone: bool
) -> str:
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


_RESTATED_SHARE = 0.12  # of wishes, those that also name something that stays
_OWN_SHARE = 0.4  # of the attributes of a new category, those that the words mention


@dataclass(frozen=True)
class Modification:
    """One or two captions, and what they allow.

    `category` is the new category, or None where it stays. `allowed` holds the values of every
    attribute that the words speak of; those are `told` (known from the words alone) or `relative`
    (known from words and picture together: "longer"). `free` attributes may be anything; all
    others stay as in the picture.
    """

    captions: tuple[str, ...]
    category: str | None
    allowed: Allowed
    told: frozenset[str]
    relative: frozenset[str]
    free: frozenset[str]


def draw_modification(reference: Garment, target: Garment, rng: random.Random) -> Modification:
    """Ask, of somebody who sees `reference`, for `target`, which always fits the wish.

    Everything that differs is either asked for or left free. ValueError where nothing differs.
    """
    if reference == target:
        raise ValueError(f"nothing to wish for: the reference is the target, {reference}")
    if reference.category != target.category:
        return _wish_for_category(reference, target, rng)
    changed = [name for name, value in target.attributes.items() if value != reference[name]]
    sayings = say_look_change(reference, target, changed, rng)
    sayings += [say_change(reference, target, name, rng) for name in changed if name not in COMMON]
    sayings = _complete(reference, target, sayings, rng)
    if rng.random() < _RESTATED_SHARE:
        sayings += say_unchanged(target, changed, rng)
    captions = phrase_wish(reference, sayings, rng)
    return _read(reference, None, captions, sayings)


def _wish_for_category(reference: Garment, target: Garment, rng: random.Random) -> Modification:
    """`as a skirt`, `the same pattern on a bag`: the look stays but for what is spoken of."""
    changed = [name for name in COMMON if target[name] != reference[name]]
    noun = rng.choice(nouns_for(target))
    sayings = say_look_change(reference, target, changed, rng)
    said = {name for name, values in noun.says.items() if len(values) == 1}
    for name in target.attributes:
        if name not in COMMON and name not in said and rng.random() < _OWN_SHARE:
            sayings += say_unchanged(target, [n for n in target.attributes if n != name], rng)
    sayings = _complete(reference, target, sayings, rng)
    captions = phrase_change_of_category(reference, target, noun, sayings, rng)
    return _read(reference, target.category, captions, [*sayings, _as_saying(noun)])


def _as_saying(noun: Noun) -> Statement:
    return Statement("is", noun.text, noun.says)


def _complete(
    reference: Garment, target: Garment, sayings: list[Statement], rng: random.Random
) -> list[Statement]:
    """Add what is still to be said: changing a colour, say, settles whether a second one stays."""
    for name in COMMON:
        allowed, free = settle(reference, target.category, (s.allowed for s in sayings))
        if target[name] != reference[name] and name not in allowed and name not in free:
            sayings = [*sayings, *say_look_change(reference, target, [name], rng, plainly=True)]
    return sayings


def settle(
    reference: Garment, category: str, sayings: Iterable[Allowed]
) -> tuple[dict[str, frozenset[str]], frozenset[str]]:
    """Read sayings together: what is allowed of each attribute spoken of, and what is free.

    The rules are those of the module's docstring.
    """
    allowed: dict[str, frozenset[str]] = {}
    for saying in sayings:
        for name, values in saying.items():
            allowed[name] = allowed[name] & values if name in allowed else values
    free: set[str] = set()
    applicable = attributes_of(category)
    if category != reference.category:
        free |= set(applicable) - set(COMMON)
        if reference["pattern"] not in applicable["pattern"]:
            free |= {"pattern", "second_colour"}
    if "colour" in allowed:
        if allowed["colour"] <= UNSHADED:
            allowed["shade"] = frozenset({"mid"})
        free.add("shade")
        if allowed["colour"] == {reference["second_colour"]}:
            free.add("second_colour")
    if "pattern" in allowed:
        if allowed["pattern"] == {"plain"}:
            allowed["second_colour"] = frozenset({"none"})
        elif reference["pattern"] == "plain" or "plain" in allowed["pattern"]:
            free.add("second_colour")
    return allowed, frozenset(free - set(allowed))


def _read(
    reference: Garment, category: str | None, captions: tuple[str, ...], sayings: list[Statement]
) -> Modification:
    allowed, free = settle(reference, category or reference.category, (s.allowed for s in sayings))
    relative = frozenset(name for saying in sayings for name in saying.relative)
    told = frozenset(allowed) - relative
    return Modification(captions, category, allowed, told, relative, free)


def constraints(reference: Garment, wish: Modification) -> dict[str, frozenset[str]]:
    """The allowed values of every attribute but the free ones, words and picture together."""
    names = attributes_of(wish.category or reference.category)
    return {
        name: wish.allowed[name] if name in wish.allowed else frozenset({reference[name]})
        for name in names
        if name not in wish.free
    }


def picture_only(reference: Garment, wish: Modification) -> frozenset[str]:
    """The attributes that the picture alone tells; `category` among them unless words change it."""
    names = frozenset(attributes_of(wish.category or reference.category))
    stays = names - wish.free - wish.told - wish.relative
    return stays if wish.category else stays | {"category"}


def fits(reference: Garment, wish: Modification, candidate: Garment) -> bool:
    """Whether a garment is what somebody who sees `reference` and reads `wish` asked for."""
    if candidate.category != (wish.category or reference.category):
        return False
    return all(candidate[name] in values for name, values in constraints(reference, wish).items())


def picture_share(reference: Garment, wish: Modification) -> float:
    """How much of what is asked for only the picture tells, in [0, 1].

        (picture_only + relative / 2) / (picture_only + relative + told)

    each the number of attributes of that kind. The category counts as one attribute: the
    picture's, unless the words change it, which tells it. Free attributes are left out.
    """
    picture = len(picture_only(reference, wish))
    told = len(wish.told) + (1 if wish.category else 0)
    relative = len(wish.relative)
    return (picture + relative / 2) / (picture + relative + told)
