"""Random descriptions of a garment: from a single noun to a text that states every attribute."""

import random
from dataclasses import replace

from dwc.catalogue.language import vocabulary
from dwc.catalogue.language.exclusions import AFTER_BUT, Exclusion, exclude_something
from dwc.catalogue.language.statements import (
    Statement,
    noun_phrase,
    say_color,
    say_compared,
    say_covering,
    say_denial,
    say_pattern_in_color,
    say_shade_compared,
    say_two_colors,
    say_value,
)
from dwc.catalogue.language.vocabulary import (
    HYPERNYMS,
    NOUNS,
    PLURAL,
    PLURAL_HYPERNYMS,
    UNCOUNTABLE,
    Noun,
    nouns_for,
)
from dwc.catalogue.schema import COMMON, UNSHADED, Garment

_HYPERNYM_SHARE = 0.12  # share of partial descriptions with a more general noun ("footwear")
_LOOSE_SHARE = 0.12  # share of values that are stated in vaguer words: "longer", "with sleeves"
_DENIAL_SHARE = 0.15  # share of partial descriptions that also deny one value
# Share of the descriptions by exclusion that state no attributes; the others state 0 to 3.
_BARE_EXCLUSION_SHARE = 0.35
_AFTER_NOUN = ("without ", "with no ", "minus ", "sans ")
# Share of the partial descriptions without a color to which the color is added after all.
_COLOR_FAVOUR = 0.6


def describe(
    garment: Garment,
    rng: random.Random,
    detail: float | None = None,
    negation_share: float = 0.0,
) -> str:
    """Return a random true description of a garment, such as "shorts" or "a navy tee".

    A comparative ("a longer, darker dress") is used only for the lowest or highest value of an
    attribute, since a description has no reference to compare with.

    Args:
        garment: The garment.
        rng: Random generator by which the words are chosen.
        detail: Share of the attributes that are mentioned, 0 to 1. If None, the share is random: a
            third of the descriptions mention all attributes, the others some or none.
        negation_share: Probability (0 to 1) that the description says what the garment is not
            ("anything but red"); see `describe_excluding`.
    """
    # With a share of 0, draw no random number, so that a seed gives the same texts as before
    # exclusions were added.
    if negation_share > 0 and rng.random() < negation_share:
        return describe_excluding(garment, rng).text
    if detail is None:
        draw = rng.random()
        detail = 0.0 if draw < 0.12 else 1.0 if draw > 0.67 else rng.uniform(0.1, 0.7)
    if detail >= 1:
        return describe_fully(garment, rng)
    names = list(garment.attributes)
    chosen = set(rng.sample(names, round(detail * len(names))))
    if chosen and "colour" not in chosen and rng.random() < _COLOR_FAVOUR:
        chosen.add("colour")
    noun, plural, countable = _name(garment, rng, bare=not chosen)
    chosen -= {name for name, values in noun.says.items() if len(values) == 1}
    statements = _statements(garment, chosen, rng, loose=True)
    if chosen and rng.random() < _DENIAL_SHARE:
        statements += _denial(garment, chosen, rng)
    return noun_phrase(rng, noun.text, _ordered(rng, statements), plural, countable)


def describe_excluding(garment: Garment, rng: random.Random) -> Exclusion:
    """Return a random true description of a garment that says what the garment is not.

    Examples: "anything but red", "a dress without any stripes". About a quarter of the texts only
    say what is excluded: "not striped", "something without stripes".

    Returns:
        An `Exclusion`: its `text` is the whole description, its `excluded` the excluded values.
    """
    count = 0 if rng.random() < _BARE_EXCLUSION_SHARE else rng.randrange(4)
    chosen = set(rng.sample(list(garment.attributes), count))
    exclusion = exclude_something(rng, garment, frozenset(chosen))
    if count == 0 and rng.random() < 0.5:
        opens = exclusion.text.startswith(_AFTER_NOUN)
        text = f"{rng.choice(('something', 'anything'))} {exclusion.text}" if opens else None
        return replace(exclusion, text=text or exclusion.text)
    if "category" in exclusion.excluded:  # use no noun, because it would name the category
        statements = _statements(garment, {"colour"}, rng, loose=False)
        thing = noun_phrase(rng, "something", statements, countable=False)
    else:
        noun, plural, countable = _name(garment, rng, bare=not chosen)
        chosen -= {name for name, values in noun.says.items() if len(values) == 1}
        statements = _ordered(rng, _statements(garment, chosen, rng, loose=True))
        thing = noun_phrase(rng, noun.text, statements, plural, countable)
    frame = "{}, {}"
    if exclusion.text.startswith(_AFTER_NOUN):
        frame = "{} {}"
    elif exclusion.text.startswith(AFTER_BUT) and rng.random() < 0.5:
        frame = "{} but {}"
    return replace(exclusion, text=frame.format(thing, exclusion.text))


def describe_fully(garment: Garment, rng: random.Random) -> str:
    """Return a random description that states the category and every attribute of a garment."""
    noun = rng.choice(nouns_for(garment))
    said = {name for name, values in noun.says.items() if len(values) == 1}
    statements = _statements(garment, set(garment.attributes) - said, rng, loose=False)
    return noun_phrase(rng, noun.text, _ordered(rng, statements), garment.category in PLURAL)


def _name(garment: Garment, rng: random.Random, bare: bool) -> tuple[Noun, bool, bool]:
    """Return a random noun for the garment, whether it is plural, and whether it is countable.

    Sometimes the noun also fits other categories: "footwear" or "something". `bare` is True if the
    description consists of the noun alone; the noun is then never "something".
    """
    wide = [name for name, members in HYPERNYMS.items() if garment.category in members]
    if bare:
        wide.remove("something")
    if wide and rng.random() < _HYPERNYM_SHARE:
        name = rng.choice(wide)
        return Noun(name), name in PLURAL_HYPERNYMS, name not in UNCOUNTABLE
    # Half the time, use a noun that specifies only the category, so that such nouns are frequent.
    nouns = nouns_for(garment)
    if rng.random() < 0.5:
        nouns = tuple(noun for noun in NOUNS[garment.category] if not noun.says)
    return rng.choice(nouns), garment.category in PLURAL, True


def _statements(
    garment: Garment, chosen: set[str], rng: random.Random, loose: bool
) -> list[Statement]:
    """Return phrases that describe a garment, such as "red" and "with long sleeves".

    The phrases state the garment's values of the attributes in `chosen`. If `loose` is True, some
    phrases are less precise: "with sleeves" for long sleeves.
    """
    said = _look(garment, chosen, rng, loose)
    for name in garment.attributes:
        if name in chosen and name not in COMMON:
            said.append(_value(garment, name, rng, loose))
    return said


def _look(garment: Garment, chosen: set[str], rng: random.Random, loose: bool) -> list[Statement]:
    """Return phrases about color, shade, pattern and second color of a garment.

    Only those of the four attributes that are in `chosen` are described; but a phrase for the
    second color also names the pattern. If `loose` is True, some phrases are less precise: "darker"
    for a dark shade, "patterned" for a striped garment.
    """
    said: list[Statement] = []
    color, shade, second = garment["colour"], garment["shade"], garment["second_colour"]
    named = None
    if "colour" in chosen:
        named = say_color(rng, color, shade if "shade" in chosen else None)
    elif "shade" in chosen and color not in UNSHADED:
        opposite = {"light": "dark", "dark": "light"}.get(shade)
        compared = None
        if loose and opposite and rng.random() < 2 * _LOOSE_SHARE:
            compared = say_shade_compared(rng, None, opposite, shade)
        said.append(compared or say_value(rng, garment.category, "shade", shade))
    pattern = garment["pattern"]
    patterned = pattern != "plain"
    if "second_colour" in chosen and patterned:
        if named and rng.random() < 0.35:
            return [*said, say_two_colors(rng, named, pattern, second)]
        said.append(say_pattern_in_color(rng, pattern, second))
    elif "pattern" in chosen or ("second_colour" in chosen and not patterned):
        covering = None
        if loose and rng.random() < _LOOSE_SHARE:
            covering = say_covering(rng, garment.category, "pattern", pattern)
        said.append(covering or say_value(rng, garment.category, "pattern", pattern))
    return [*said, named] if named else said


def _value(garment: Garment, name: str, rng: random.Random, loose: bool) -> Statement:
    category, value = garment.category, garment[name]
    if loose and rng.random() < _LOOSE_SHARE:
        scale = vocabulary.scale(category, name)
        vague = say_covering(rng, category, name, value)
        if scale and value in (scale[0], scale[-1]) and value not in ("sleeveless", "flat"):
            other = scale[-1] if value == scale[0] else scale[0]
            vague = say_compared(rng, category, name, other, value, by_how_much=False)
        if vague:
            return vague
    return say_value(rng, category, name, value)


def _denial(garment: Garment, chosen: set[str], rng: random.Random) -> list[Statement]:
    """Return a list with one phrase that says what the garment is not: "no stripes".

    The phrase is true of the garment, and is not about an attribute in `chosen`. The list is empty
    if there is no such phrase.
    """
    open_to = [
        (name, value)
        for (name, value) in vocabulary.DENIED
        if name in garment.attributes and name not in chosen and value != garment[name]
    ]
    if "second_colour" in chosen:
        open_to = [(name, value) for name, value in open_to if name != "pattern"]
    possible = [
        (name, value)
        for name, value in open_to
        if garment[name] in vocabulary.meant_by_denial(garment.category, name, value)
        and value in vocabulary.values_of(garment.category, name)
    ]
    if not possible:
        return []
    name, value = rng.choice(possible)
    statement = say_denial(rng, garment.category, name, value, garment[name])
    return [statement] if statement else []


def _ordered(rng: random.Random, statements: list[Statement]) -> list[Statement]:
    """Return the statements in random order.

    In 70 % of cases, the color is moved to the end, so that it will stand next to the noun.
    """
    rng.shuffle(statements)
    if rng.random() < 0.7:
        statements.sort(key=lambda statement: statement.form == "colour")
    return statements
