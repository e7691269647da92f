"""Functions that join statements into noun phrases ("a dress") and predicates ("is longer")."""

import random
from collections.abc import Iterable, Sequence

from dwc.catalogue.language.nouns import with_article
from dwc.catalogue.language.statements import Statement

_UNCOUNTED = frozenset({"plaid"})  # used without an article: "without plaid"


def join(rng: random.Random, parts: Sequence[str]) -> str:
    """Join texts as `a`, `a and b` or `a, b and c`; sometimes with "and" instead of commas."""
    if len(parts) < 2:
        return "".join(parts)
    if len(parts) == 2:
        return f"{parts[0]} and {parts[1]}"
    if rng.random() < 0.1:
        return " and ".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def without(things: Sequence[str]) -> str:
    """Return a phrase that denies things: `without sleeves`, `without pockets or a belt`."""
    named = [
        thing if thing.endswith("s") or thing in _UNCOUNTED else with_article(thing)
        for thing in things
    ]
    *first, last = named
    return f"without {', '.join(first)} or {last}" if first else f"without {last}"


def adjectives(statements: Iterable[Statement]) -> list[Statement]:
    """Return the statements whose phrase is an adjective; phrases with "not" come last."""
    matching = [statement for statement in statements if statement.form in ("colour", "is")]
    return sorted(matching, key=_denies)


def _denies(statement: Statement) -> bool:
    return statement.text.startswith("not ")


def _being(rng: random.Random, statements: Iterable[Statement]) -> list[str]:
    """Return the phrases that can follow "is".

    In half of the cases, a color and a pattern are combined into one phrase: "blue striped".
    """
    described = adjectives(statements)
    color = next((statement for statement in described if statement.form == "colour"), None)
    pattern = next(
        (
            s
            for s in described
            if s.form == "is" and set(s.allowed) == {"pattern"} and not s.relative
        ),
        None,
    )
    if color is None or pattern is None or rng.random() < 0.5:
        return [statement.text for statement in described]
    plain = pattern.allowed["pattern"] == {"plain"}
    pair = (pattern.text, color.text) if plain else (color.text, pattern.text)
    rest = [statement.text for statement in described if statement not in (color, pattern)]
    return [" ".join(pair), *rest]


def having(rng: random.Random, statements: Iterable[Statement], opening: str = "with") -> str:
    """Return a text about parts that a garment has or lacks: `with long sleeves and no belt`.

    The text is empty if no statement is about parts. Otherwise it starts with `opening` ("with",
    "has" or "have") or with "without".
    """
    had = [statement.text for statement in statements if statement.form == "has"]
    lacked = [statement.text for statement in statements if statement.form == "no"]
    if opening == "with" and lacked and rng.random() < 0.5:
        tail = without(lacked)
        return f"with {join(rng, had)} and {tail}" if had else tail
    things = had + [f"no {thing}" for thing in lacked]
    return f"{opening} {join(rng, things)}" if things else ""


def noun_phrase(
    rng: random.Random,
    noun: str,
    statements: Sequence[Statement],
    plural: bool = False,
    countable: bool = True,
) -> str:
    """Return a noun phrase that expresses statements: `a striped dress with long sleeves`.

    Adjectives stand before the noun, but after "something": `something blue`.
    """
    before = [statement.text for statement in adjectives(statements)]
    after = having(rng, statements)
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


def predicate(rng: random.Random, statements: Sequence[Statement], plural: bool = False) -> str:
    """Return a predicate that expresses statements: `is longer with a belt`, `has no stripes`."""
    being, has = ("are", "have") if plural else ("is", "has")
    described = adjectives(statements)
    if not described:
        return having(rng, statements, has)
    colors_only = all(statement.form == "colour" for statement in described)
    verb = f"{being} in" if colors_only and rng.random() < 0.08 else being
    opening = f"{verb} {join(rng, _being(rng, statements))}"
    rest = [statement for statement in statements if statement.form in ("has", "no")]
    if not rest:
        return opening
    # "Not red with a hood" would deny the hood as well.
    if rng.random() < 0.5 and not _denies(described[-1]):
        return f"{opening} {having(rng, rest)}"
    return f"{opening} and {having(rng, rest, has)}"


def change(rng: random.Random, statements: Sequence[Statement]) -> str:
    """Return a phrase for use after "but" or "make it" that expresses statements.

    Example: `blue with a belt`.
    """
    described = adjectives(statements)
    words = join(rng, _being(rng, statements))
    rest = having(rng, statements)
    if len(described) == 1 and described[0].form == "colour" and rng.random() < 0.6:
        words = f"in {words}"
    if described and rest and _denies(described[-1]):
        return f"{words} and {rest}"
    return f"{words} {rest}".strip()
