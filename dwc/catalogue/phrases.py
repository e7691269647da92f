"""Sayings put into grammar: noun phrases ("a navy dress with a belt"), predicates ("is longer")."""

import random
from collections.abc import Iterable, Sequence

from dwc.catalogue.nouns import with_article
from dwc.catalogue.sayings import Saying

_UNCOUNTED = frozenset({"plaid"})  # "without plaid", where most take an article or an s


def join(rng: random.Random, parts: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`; now and then without commas, as people type."""
    if len(parts) < 2:
        return "".join(parts)
    if len(parts) == 2:
        return f"{parts[0]} and {parts[1]}"
    if rng.random() < 0.1:
        return " and ".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def without(thing: str) -> str:
    """`without sleeves`, `without a belt`."""
    bare = thing.endswith("s") or thing in _UNCOUNTED
    return f"without {thing if bare else with_article(thing)}"


def adjectives(sayings: Iterable[Saying]) -> list[Saying]:
    """Those that stand before a noun or after "is"."""
    return [saying for saying in sayings if saying.form in ("colour", "is")]


def having(rng: random.Random, sayings: Iterable[Saying], opening: str = "with") -> str:
    """`with long sleeves and no belt`, `with a hood, without pockets`; empty where nothing is had.

    `opening` may be a verb ("has"), after which what is lacking follows "no".
    """
    had = [saying.text for saying in sayings if saying.form == "has"]
    lacked = [saying.text for saying in sayings if saying.form == "no"]
    if opening == "with" and lacked and rng.random() < 0.5:
        tail = " and ".join(without(thing) for thing in lacked)
        return f"with {join(rng, had)} and {tail}" if had else tail
    things = had + [f"no {thing}" for thing in lacked]
    return f"{opening} {join(rng, things)}" if things else ""


def noun_phrase(
    rng: random.Random,
    noun: str,
    sayings: Sequence[Saying],
    plural: bool = False,
    countable: bool = True,
) -> str:
    """A noun with everything said of it: `a light blue striped dress with long sleeves`.

    `something` takes its adjectives behind it.
    """
    before = [saying.text for saying in adjectives(sayings)]
    after = having(rng, sayings)
    if noun == "something":
        return " ".join(part for part in (noun, join(rng, before), after) if part)
    if len(before) > 1 and rng.random() < (0.15 if len(before) == 2 else 0.3):
        before = [", ".join(before)]
    phrase = " ".join([*before, noun])
    if countable and not plural and rng.random() < 0.85:
        phrase = with_article(phrase)
    elif plural and rng.random() < 0.12:
        phrase = f"a pair of {phrase}"
    return f"{phrase} {after}".strip()


def predicate(rng: random.Random, sayings: Sequence[Saying], plural: bool = False) -> str:
    """What it is and has: `is blue and longer with a belt`, `has no stripes`."""
    being, has = ("are", "have") if plural else ("is", "has")
    said = [saying.text for saying in adjectives(sayings)]
    if not said:
        return having(rng, sayings, has)
    colours_only = all(saying.form == "colour" for saying in adjectives(sayings))
    verb = f"{being} in" if colours_only and rng.random() < 0.08 else being
    opening = f"{verb} {join(rng, said)}"
    rest = [saying for saying in sayings if saying.form in ("has", "no")]
    if not rest:
        return opening
    if rng.random() < 0.5:
        return f"{opening} {having(rng, rest)}"
    return f"{opening} and {having(rng, rest, has)}"


def change(rng: random.Random, sayings: Sequence[Saying]) -> str:
    """The bare change, to follow "but" or "make it": `blue with a belt`, `with a hood`."""
    said = [saying.text for saying in adjectives(sayings)]
    colours_only = all(saying.form == "colour" for saying in adjectives(sayings))
    if said and colours_only and len(said) == 1 and rng.random() < 0.6:
        said = [f"in {said[0]}"]
    return f"{join(rng, said)} {having(rng, sayings)}".strip()
