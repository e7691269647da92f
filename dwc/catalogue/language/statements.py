"""Statements about a garment: phrases, each with the attribute values that it allows.

A `Statement` is the smallest unit of the language. `say_change` and `say_look_change` choose how a
difference between two garments is expressed: by the new value ("blue"), by comparison ("longer") or
by denial ("not red").

Descriptions and modifications combine several statements into a noun phrase ("a dress with a
belt"), a predicate ("is longer") or a change ("blue with a belt").
"""

import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from dwc.catalogue.language import vocabulary
from dwc.catalogue.language.vocabulary import with_article
from dwc.catalogue.schema import (
    COLORS,
    COMMON,
    SHADES,
    UNSHADED,
    Garment,
    attributes_of,
    patterns_of,
)

Form = Literal["colour", "is", "has", "no"]
"""Where a phrase can stand in a sentence. "colour": a color, after "is" or "in" or before the noun;
"is": an adjective, after "is" or before the noun; "has": a part of the garment, after "has" or
"with"; "no": a part that the garment lacks, after "no" or "without"."""

Allowed = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Statement:
    """A phrase about a garment, with the attribute values that the phrase allows.

    Attributes:
        form: Where the phrase can stand in a sentence; see `Form`.
        text: The phrase.
        allowed: The allowed values of each attribute that the phrase mentions.
        relative: The attributes whose allowed values depend on the reference garment ("longer").
            The allowed values of all other attributes depend on the phrase alone.
    """

    form: Form
    text: str
    allowed: Allowed
    relative: frozenset[str] = frozenset()


def say_color(rng: random.Random, color: str, shade: str | None) -> Statement:
    """Return a phrase that names a color and its shade (`navy`), or only the color (`blue`).

    Black and white have only one shade, so their names always specify the shade as well.
    """
    allowed = {"colour": frozenset({color})}
    if color in UNSHADED:
        allowed["shade"] = frozenset({"mid"})
        return Statement("colour", rng.choice(vocabulary.BARE[color]), allowed)
    if shade is None:
        return Statement("colour", rng.choice(vocabulary.BARE[color]), allowed)
    allowed["shade"] = frozenset({shade})
    return Statement("colour", rng.choice(vocabulary.shaded_names(color, shade)), allowed)


def say_pattern_in_color(rng: random.Random, pattern: str, second_color: str) -> Statement:
    """Return a phrase that names a pattern and its color: `white stripes`."""
    frame = rng.choice(vocabulary.PATTERN_IN_COLOR[pattern])
    text = frame.format(_beside(rng, second_color))
    if text.startswith("a "):
        text = f"{'an' if text[2] in 'aeiou' else 'a'} {text[2:]}"
    allowed = {"pattern": frozenset({pattern}), "second_colour": frozenset({second_color})}
    return Statement("has", text, allowed)


def say_two_colors(rng: random.Random, color: Statement, pattern: str, second: str) -> Statement:
    """Return one phrase that names two colors and a pattern: `blue and white striped`.

    Args:
        rng: The random generator that chooses the words.
        color: The statement that names the main color.
        pattern: The pattern.
        second: The color of the pattern.
    """
    adjectives = vocabulary.PATTERN_WORDS[pattern].being
    first = min(color.allowed["colour"])
    name = first if first in UNSHADED else color.text
    text = f"{name} and {_beside(rng, second)} {rng.choice(adjectives)}"
    allowed = {
        **color.allowed,
        "pattern": frozenset({pattern}),
        "second_colour": frozenset({second}),
    }
    return Statement("is", text, allowed, color.relative)


def say_second_color(rng: random.Random, second: str) -> Statement:
    """Return a phrase that names the color of the pattern, but not the pattern itself.

    Example: `white in the pattern`.
    """
    name = _beside(rng, second)
    frame = rng.choice(("{} in the pattern", "a pattern in {}", "{} as the second colour"))
    return Statement("has", frame.format(name), {"second_colour": frozenset({second})})


def say_value(rng: random.Random, category: str, attribute: str, value: str) -> Statement:
    """Return a phrase that states a value of an attribute: `belted`, `long sleeves`.

    The attribute is any except the main color and the second color.
    """
    words = vocabulary.words_for(category, attribute, value)
    return _choose(rng, words, {attribute: frozenset({value})})


def say_covering(
    rng: random.Random, category: str, attribute: str, value: str, not_value: str | None = None
) -> Statement | None:
    """Return a phrase that allows several values: `sleeves` allows sleeves of any length.

    Args:
        rng: The random generator that chooses the words.
        category: The category of the garment.
        attribute: The attribute.
        value: A value that the phrase has to allow.
        not_value: A value that the phrase must not allow, or None.

    Returns:
        The phrase with the allowed values, or None if the language has no such phrase.
    """
    present = frozenset(attributes_of(category)[attribute])
    if attribute == "pattern":
        if value == "plain" or not_value not in (None, "plain"):
            return None
        return _choose(rng, vocabulary.PATTERNED, {"pattern": present - {"plain"}})
    for (name, values), words in vocabulary.COVERING.items():
        if name == attribute and value in values and not_value not in values and values <= present:
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
    """Return a phrase that compares a garment with the reference: `longer`, `a lot looser`.

    The phrase asks for more or less of an attribute whose values have an order. Without "a bit" or
    "a lot", it allows all greater (or all smaller) values. With "a bit" it allows only the next
    one, with "a lot" all except the next one.

    Args:
        rng: The random generator that chooses the words.
        category: The category of the garment.
        attribute: The attribute.
        before: The value of the reference.
        after: The value to express; the phrase allows this value.
        by_how_much: Whether the phrase may contain words such as "a bit" and "a lot". Use False if
            a noun follows: "a longer dress", but not "a a bit longer dress".

    Returns:
        The phrase with the allowed values; None if `before` and `after` are equal or the values
        have no order.
    """
    scale = vocabulary.scale(category, attribute)
    if before not in scale or after not in scale or before == after:
        return None
    start, end = scale.index(before), scale.index(after)
    more = end > start
    beyond = scale[start + 1 :] if more else scale[:start][::-1]
    words = vocabulary.compared(category, attribute)[more]
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
    """Return a phrase that asks for a `busier` or `less busy` pattern than `before`.

    `before` is the pattern of the reference, `after` a pattern that the phrase has to allow.

    Returns:
        The phrase with the allowed patterns, which include `after`; None if both patterns are
        equally busy.
    """
    start, end = vocabulary.BUSYNESS[before], vocabulary.BUSYNESS[after]
    if start == end:
        return None
    text, form = _pick(rng, vocabulary.compared(category, "busyness")[end > start])
    allowed = frozenset(
        pattern
        for pattern in patterns_of(category)
        if (
            vocabulary.BUSYNESS[pattern] > start
            if end > start
            else vocabulary.BUSYNESS[pattern] < start
        )
    )
    return Statement(form, text, {"pattern": allowed}, frozenset({"pattern"}))


def say_shade_compared(
    rng: random.Random, color: str | None, before: str, after: str
) -> Statement | None:
    """Return a phrase that compares two shades: `darker blue`, or only `darker`.

    Args:
        rng: The random generator that chooses the words.
        color: The color to name, or None to name none.
        before: The shade of the reference.
        after: The shade to express. The phrase is true of a garment with this shade.

    Returns:
        The phrase, with all shades of which it is true; None if the two shades are equal.
    """
    start, end = SHADES.index(before), SHADES.index(after)
    if start == end:
        return None
    beyond = frozenset(SHADES[start + 1 :] if end > start else SHADES[:start])
    relative = frozenset({"shade"})
    if color is None:
        text, form = _pick(rng, vocabulary.compared("dress", "shade")[end > start])
        return Statement(form, text, {"shade": beyond}, relative)
    word = rng.choice(("darker", "deeper") if end > start else ("lighter", "paler"))
    text = f"{word} {rng.choice(vocabulary.BARE[color])}"
    return Statement("colour", text, {"colour": frozenset({color}), "shade": beyond}, relative)


def say_denial(
    rng: random.Random, category: str, attribute: str, value: str, actual: str
) -> Statement | None:
    """Return a phrase that denies a value of an attribute: `no stripes`, `not red`.

    Args:
        rng: The random generator that chooses the words.
        category: The category of the garment.
        attribute: The attribute.
        value: The value to deny.
        actual: The value that the garment really has.

    Returns:
        The phrase with the values that remain allowed. None if the denial would also exclude
        `actual`, or if the language has no words for the denial.
    """
    if attribute == "colour":
        if value == actual:
            return None
        name = rng.choice(vocabulary.BARE[value])
        return Statement("is", f"not {name}", {"colour": frozenset(COLORS) - {value}})
    names = vocabulary.DENIED.get((attribute, value))
    left = vocabulary.meant_by_denial(category, attribute, value)
    if names is None or actual not in left:
        return None
    return Statement("no", rng.choice(names), {attribute: left})


def say_different(
    rng: random.Random, category: str, attribute: str, before: str
) -> Statement | None:
    """Return a phrase that allows every value except `before`: `a different neckline`.

    `before` is the attribute's value in the reference.

    Returns:
        The phrase with the allowed values, or None if the language has no noun for the attribute.
    """
    names = vocabulary.ATTRIBUTE_NAMES.get(attribute)
    if names is None:
        return None
    left = frozenset(attributes_of(category)[attribute]) - {before}
    word = rng.choice(("a different", "another"))
    return Statement(
        "has", f"{word} {rng.choice(names)}", {attribute: left}, frozenset({attribute})
    )


def _beside(rng: random.Random, color: str) -> str:
    """Return a random name of a color that can follow another color: "white" in "red and white".

    Black and white are always called "black" and "white", not "jet black" or "pure white".
    """
    return color if color in UNSHADED else rng.choice(vocabulary.BARE[color])


def _choose(rng: random.Random, words: vocabulary.Words, allowed: Allowed) -> Statement:
    text, form = _pick(rng, words)
    return Statement(form, text, allowed)


def _pick(rng: random.Random, words: vocabulary.Words) -> tuple[str, Form]:
    """Return a random phrase, and its form: where the phrase can stand in a sentence.

    The form ("is", "has" or "no") is chosen first, then one of the phrases of this form.
    """
    by_form: tuple[tuple[Form, tuple[str, ...]], ...] = (
        ("is", words.being),
        ("has", words.having),
        ("no", words.lacking),
    )
    forms = [(form, texts) for form, texts in by_form if texts]
    form, texts = rng.choice(forms)
    return rng.choice(texts), form


# `say_change` can express a difference in several ways. It tries a denial ("no hood"), a comparison
# ("longer"), a phrase for several values ("with sleeves") and "a different ..." in this order, with
# these probabilities. In all other cases it names the target's value.
DENIED_SHARE = 0.2
COMPARED_SHARE = 0.7  # of comparable attributes; about a third of all differences are compared
DIFFERENT_SHARE = 0.04
COVERED_SHARE = 0.2


def say_change(reference: Garment, target: Garment, name: str, rng: random.Random) -> Statement:
    """Return a random phrase that asks to change one attribute to its value in the target.

    Examples: `with long sleeves`, `longer`, `no hood`. `name` is the name of the attribute; for
    color, shade, pattern and second color, use `say_look_change` instead.
    """
    category, before, after = target.category, reference[name], target[name]
    if rng.random() < DENIED_SHARE and (denial := say_denial(rng, category, name, before, after)):
        return denial
    # Nobody writes "shorter sleeves" or "a lower heel" for a garment without sleeves or heel.
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
    """Return random phrases that ask to change color, shade, pattern and second color.

    The phrases ask for the target's values of those of the four attributes that are in `changed`.
    If `plainly` is True, all phrases name these values ("blue"). If it is False, some compare or
    deny instead ("darker", "not red").
    """
    color = _color_change(reference, target, changed, rng, plainly)
    pattern = _pattern_change(reference, target, changed, rng, plainly)
    named = color is not None and color.form == "colour"
    is_fixed = pattern is not None and pattern.allowed.keys() == {"pattern", "second_colour"}
    if color and named and is_fixed and rng.random() < 0.4:
        return [say_two_colors(rng, color, target["pattern"], target["second_colour"])]
    return [statement for statement in (color, pattern) if statement]


def _color_change(
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
        return say_color(rng, after, target["shade"])
    draw = rng.random()
    if not plainly:
        if draw < 0.05:
            return say_denial(rng, target.category, "colour", before, after)
        if draw < 0.08:
            return say_different(rng, target.category, "colour", before)
        if draw < 0.3 and comparable:
            return say_shade_compared(rng, after, reference["shade"], target["shade"])
    shade_share = 0.8 if "shade" in changed else 0.35
    return say_color(rng, after, target["shade"] if rng.random() < shade_share else None)


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
            return say_second_color(rng, second)
        return say_pattern_in_color(rng, after, second)
    if not plainly:
        vague = _vague_pattern_change(before, after, target.category, rng)
        if vague:
            return vague
    # Adding a pattern to a plain garment may leave the pattern's color open; replacing one pattern
    # by another keeps the pattern's color.
    second_share = 0.55 if before == "plain" else 1.0 if "second_colour" in changed else 0.15
    if after != "plain" and rng.random() < second_share:
        return say_pattern_in_color(rng, after, second)
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


def say_unchanged(
    target: Garment, mentioned: Collection[str], rng: random.Random
) -> list[Statement]:
    """State one random attribute of the target that no other phrase mentions.

    Args:
        target: The garment.
        mentioned: The attributes that other phrases mention.
        rng: The random generator that chooses the attribute and the words.

    Returns:
        A list with one statement, or an empty list if nothing can be stated. Shade, pattern and
        second color are never chosen; a color is stated with its shade.
    """
    names = [
        name
        for name in target.attributes
        if name not in mentioned and (name not in COMMON or name == "colour")
    ]
    if not names:
        return []
    name = rng.choice(names)
    if name == "colour":  # name the shade too: a color name alone would leave the shade free
        if "shade" in mentioned:
            return []
        return [say_color(rng, target["colour"], target["shade"])]
    return [say_value(rng, target.category, name, target[name])]


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
    """Return a phrase for parts that a garment lacks: `without pockets or a belt`."""
    named = [
        thing if thing.endswith("s") or thing in _UNCOUNTED else with_article(thing)
        for thing in things
    ]
    *first, last = named
    return f"without {', '.join(first)} or {last}" if first else f"without {last}"


def adjectives(statements: Iterable[Statement]) -> list[Statement]:
    """Return the statements whose phrases are adjectives; phrases with "not" come last."""
    matching = [statement for statement in statements if statement.form in ("colour", "is")]
    return sorted(matching, key=_denies)


def _denies(statement: Statement) -> bool:
    return statement.text.startswith("not ")


def _being(rng: random.Random, statements: Iterable[Statement]) -> list[str]:
    """Return the phrases that can follow "is", that is, the adjectives.

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

    Args:
        rng: The random generator that chooses the words.
        noun: The noun, without an article.
        statements: The statements to express.
        plural: Whether the noun is plural. Sometimes "a pair of" is then added.
        countable: Whether the noun can have the article "a" or "an".
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
    """Return a phrase that expresses all statements, for use after "but" or "make it".

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
