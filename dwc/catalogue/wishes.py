"""Wishes: the words that turn one garment into another, and what exactly they ask for.

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
from collections.abc import Iterable
from dataclasses import dataclass

from dwc.catalogue.asking import phrase_change_of_category, phrase_wish
from dwc.catalogue.changes import say_change, say_look_change, say_unchanged
from dwc.catalogue.nouns import Noun, nouns_for
from dwc.catalogue.sayings import Allowed, Saying
from dwc.catalogue.schema import COMMON, UNSHADED, Garment, attributes_of

_RESTATED_SHARE = 0.12  # of wishes, those that also name something that stays
_OWN_SHARE = 0.4  # of the attributes of a new category, those that the words mention


@dataclass(frozen=True)
class Wish:
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


def wish(reference: Garment, target: Garment, rng: random.Random) -> Wish:
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


def _wish_for_category(reference: Garment, target: Garment, rng: random.Random) -> Wish:
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


def _as_saying(noun: Noun) -> Saying:
    return Saying("is", noun.text, noun.says)


def _complete(
    reference: Garment, target: Garment, sayings: list[Saying], rng: random.Random
) -> list[Saying]:
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
    reference: Garment, category: str | None, captions: tuple[str, ...], sayings: list[Saying]
) -> Wish:
    allowed, free = settle(reference, category or reference.category, (s.allowed for s in sayings))
    relative = frozenset(name for saying in sayings for name in saying.relative)
    told = frozenset(allowed) - relative
    return Wish(captions, category, allowed, told, relative, free)


def constraints(reference: Garment, wish: Wish) -> dict[str, frozenset[str]]:
    """The allowed values of every attribute but the free ones, words and picture together."""
    names = attributes_of(wish.category or reference.category)
    return {
        name: wish.allowed[name] if name in wish.allowed else frozenset({reference[name]})
        for name in names
        if name not in wish.free
    }


def picture_only(reference: Garment, wish: Wish) -> frozenset[str]:
    """The attributes that the picture alone tells; `category` among them unless words change it."""
    names = frozenset(attributes_of(wish.category or reference.category))
    stays = names - wish.free - wish.told - wish.relative
    return stays if wish.category else stays | {"category"}


def fits(reference: Garment, wish: Wish, candidate: Garment) -> bool:
    """Whether a garment is what somebody who sees `reference` and reads `wish` asked for."""
    if candidate.category != (wish.category or reference.category):
        return False
    return all(candidate[name] in values for name, values in constraints(reference, wish).items())


def picture_share(reference: Garment, wish: Wish) -> float:
    """How much of what is asked for only the picture tells, in [0, 1].

        (picture_only + relative / 2) / (picture_only + relative + told)

    each the number of attributes of that kind. The category counts as one attribute: the
    picture's, unless the words change it, which tells it. Free attributes are left out.
    """
    picture = len(picture_only(reference, wish))
    told = len(wish.told) + (1 if wish.category else 0)
    relative = len(wish.relative)
    return (picture + relative / 2) / (picture + relative + told)
