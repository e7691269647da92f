"""Exclusions: phrases for attribute values and categories that a garment must not have.

Examples: "without any stripes", "remove the belt", "anything but red", "not a dress". Every value
of every attribute and every category can be excluded. A phrase is a template (`FORMS`) filled with
a name of the value or category (`excluded_names`, `category_names`).

The functions that generate texts use these phrases only if their argument `negation_share` is above
0. If it is 0, they deny only a few values, in simple words such as "no stripes" or "not red" (see
`statements`). The parser accepts all phrases.

An exclusion does not say what replaces the excluded value: "no stripes" allows every other pattern
(`excluded_meaning`). If the reference image has no stripes, its pattern stays as it is.

No template starts with a minus ("-stripes"), since the word tokenizer deletes punctuation. In a
user's text, `dwc.negation.spelling.spell_out_minus` replaces a minus by "without" before
tokenization.
"""

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

from dwc.catalogue.language import vocabulary
from dwc.catalogue.language.vocabulary import (
    HYPERNYMS,
    NOUNS,
    UNCOUNTABLE,
    generic_nouns,
    with_article,
)
from dwc.catalogue.schema import CATEGORIES, Garment, attributes_of

Kind = Literal["thing", "adjective", "colour", "category", "absence"]
"""What kind of name is excluded: a part of the garment ("stripes"), a property ("striped"), a
color, a category, or the absence of a part ("not without pockets")."""

Values = Mapping[str, frozenset[str]]

# Templates of exclusions for each kind of name. {x} is the name, {a} the name with its article, {s}
# its plural, {p} the name as it is used after "the". A filled template can stand alone or after a
# comma.
FORMS: dict[Kind, tuple[str, ...]] = {
    "thing": (
        "no {x}", "no {x}", "without {a}", "without {a}", "without any {x}", "without any {x}",
        "with no {x}", "has no {x}", "not {a}", "no more {x}", "minus the {x}", "minus {a}",
        "remove the {x}", "remove the {x}", "lose the {x}", "drop the {x}", "get rid of the {x}",
        "leave out the {x}", "take off the {x}", "without the {x}", "anything but {a}",
        "anything except {a}", "everything except {a}", "except the {x}", "instead of {a}",
        "instead of the {x}", "rather than {a}", "nothing with {a}", "does not have {a}",
        "doesn't have {a}", "i don't want {a}", "excluding {a}", "sans {x}",
    ),
    "adjective": (
        "not {x}", "not {x}", "not {x}", "no {x}", "isn't {x}", "is not {x}", "should not be {x}",
        "non-{x}", "non {x}", "without {x}", "minus {x}", "anything but {x}", "anything but {x}",
        "anything except {x}", "everything except {x}", "except {x}", "instead of {x}",
        "rather than {x}", "nothing {x}", "other than {x}", "not {a} one", "excluding {x}",
        "without anything {x}",
    ),
    "colour": (
        "no {x}", "no {x}", "not {x}", "not {x}", "not in {x}", "without {x}", "without any {x}",
        "without the {x}", "isn't {x}", "is not {x}", "should not be {x}", "non-{x}", "non {x}",
        "minus {x}", "minus the {x}", "remove the {x}", "lose the {x}", "get rid of the {x}",
        "anything but {x}", "any colour but {x}", "any color except {x}", "anything except {x}",
        "everything except {x}", "except {x}", "instead of {x}", "rather than {x}",
        "nothing {x}", "nothing in {x}", "other than {x}", "not {a} one", "no {x} in it",
        "excluding {x}",
    ),
    "category": (
        "not {a}", "not {a}", "no {s}", "no {s}", "no more {s}", "without {s}", "without any {s}",
        "isn't {a}", "is not {a}", "minus the {s}", "minus {s}", "remove the {s}", "lose the {p}",
        "anything but {a}", "anything but {s}", "anything except {s}", "everything except {s}",
        "except {s}", "instead of {a}", "instead of the {p}", "rather than {a}",
        "something other than {a}", "excluding {s}", "i don't want {a}", "non-{x}",
    ),
    "absence": (
        "not without {a}", "nothing without {a}", "never without {a}", "not without any {x}",
    ),
}  # fmt: skip

# Templates that replace one value of an attribute by another: "dots instead of stripes".
_EXCHANGES = (
    "{new} instead of {old}", "{new} rather than {old}", "{new}, not {old}", "not {old} but {new}",
)  # fmt: skip
_EXCHANGED_THINGS = ("replace the {old} with {new}", "swap the {old} for {new}")

AFTER_BUT = (
    "no ", "not ", "without ", "with no ", "has no ", "does", "isn't ", "is not ", "should ",
    "remove ", "lose ", "drop ", "get ", "leave ", "take ", "i ",
)  # fmt: skip
"""Beginnings of the clauses that may follow "but"."""

_ALONE = ("same but {}", "like this but {}", "the same, {}", "please, {}", "just like this but {}")

# Single words that exclude a value ("collarless"), by attribute and value. Words that name a value
# of the schema themselves ("sleeveless") are not included.
LEXICAL_NEGATIONS: dict[tuple[str, str], tuple[str, ...]] = {
    ("pattern", "striped"): ("stripeless", "unstriped"),
    ("pattern", "graphic"): ("logoless",),
    ("neckline", "collar"): ("collarless",),
    ("neckline", "hood"): ("hoodless",),
    ("waist", "belted"): ("beltless", "unbelted"),
    ("fastening", "buttons"): ("buttonless", "unbuttoned"),
    ("fastening", "zip"): ("zipless",),
    ("fastening", "laces"): ("laceless",),
    ("fastening", "strap"): ("strapless",),
    ("fastening", "buckle"): ("buckleless",),
    ("pockets", "chest"): ("pocketless",),
    ("pockets", "pouch"): ("pocketless",),
    ("pockets", "patch"): ("pocketless",),
    ("pockets", "cargo"): ("pocketless",),
    ("brim", "peaked"): ("peakless",),
    ("trim", "band"): ("bandless",),
}

# Nouns that can be excluded in the singular and the plural: "no stripe", "no stripes".
_COUNTED = frozenset({
    "stripe", "pinstripe", "check", "dot", "spot", "flower", "zigzag", "line", "block", "graphic",
    "logo", "motif", "collar", "lapel", "hood", "ruffle", "frill", "belt", "drawstring", "button",
    "zip", "zipper", "lace", "shoelace", "strap", "buckle", "flap", "pocket", "handle", "chain",
    "peak", "visor", "band", "ribbon", "sleeve", "heel", "toe", "brim", "v-neck", "sole",
})  # fmt: skip
_UNCOUNTED = frozenset({"plaid"})
_PLURAL_ONLY = frozenset({"trousers", "shorts", "pants", "slacks"})
_AFTER_HEAD = re.compile(r" (?:on|at|down|around|to|for|with|in|that|across|of|as) ")


@dataclass(frozen=True)
class Exclusion:
    """One clause that excludes attribute values or categories.

    Attributes:
        text: The clause, for example "without any stripes".
        excluded: The excluded values of each attribute that the clause restricts. If the clause
            excludes categories, they are under the key "category".
        allowed: The values or categories that remain allowed, for each key of `excluded`.
    """

    text: str
    excluded: Values
    allowed: Values = field(default_factory=dict)


@cache
def excluded_names(category: str, attribute: str, value: str) -> tuple[tuple[Kind, str], ...]:
    """Return all names by which an attribute value can be excluded, as pairs (kind, name).

    For example, two of the names of "belted" are ("thing", "belt") and ("adjective", "belted"); see
    `Kind`. Names have no article. Each value has at least one name.
    """
    if attribute == "colour":
        return tuple(("colour", name) for name in dict.fromkeys(vocabulary.BARE[value]))
    if attribute == "second_colour":
        if value == "none":
            return (("absence", "second colour"),)
        frames = ("{} in the pattern", "pattern in {}", "{} as the second colour")
        beside = dict.fromkeys(vocabulary.BARE[value])
        return tuple(("thing", frame.format(name)) for name in beside for frame in frames)
    words = vocabulary.words_for(category, attribute, value)
    things = dict.fromkeys(
        without_article(phrase) for phrase in words.having if not phrase.startswith("two ")
    )
    things |= dict.fromkeys(vocabulary.DENIED.get((attribute, value), ()))
    names: list[tuple[Kind, str]] = [("thing", name) for name in things]
    names += [("adjective", name) for name in words.being]
    names += [("absence", name) for name in words.lacking]
    return tuple(names)


@cache
def excluded_meaning(category: str, attribute: str, value: str) -> Values:
    """Return the values that remain allowed if a value is excluded.

    If a color is excluded, it can be neither the main nor the second color. "No stripes" also
    excludes pinstripes.

    Returns:
        A dict from each restricted attribute to its remaining values.
    """
    if attribute == "colour":
        return {
            name: frozenset(attributes_of(category)[name]) - {value}
            for name in ("colour", "second_colour")
        }
    return {attribute: vocabulary.meant_by_denial(category, attribute, value)}


@cache
def other_values(name: str, kind: str) -> tuple[str, ...]:
    """Return names of the values that a garment can have instead of an excluded value.

    For example, a boot without a "round toe" can have a "pointed toe".

    Args:
        name: A name of the excluded value, such as "round toe", without an article; singular or
            plural.
        kind: A noun for the kind of garment, such as "boots". If the noun is unknown, the values of
            garments of all kinds are considered.

    Returns:
        One name for each other value, without articles. Empty if garments of this kind have no
        value called `name`, or if the attribute has no other value.
    """
    named = _named_values().get(_simplified(name), {})
    categories = _categories_of(kind) or named.keys()
    others: dict[str, None] = {}
    for category, (attribute, value) in named.items():
        for other in attributes_of(category)[attribute] if category in categories else ():
            if other not in (value, "none"):
                others[excluded_names(category, attribute, other)[0][1]] = None
    return tuple(others)


@cache
def _named_values() -> dict[str, dict[str, tuple[str, str]]]:
    """Return which attribute value each name, such as "belt", stands for in each category.

    Returns:
        A dict from each name (in the singular, with spaces instead of hyphens) to another dict. The
        inner dict maps each category that has such a value to the pair (attribute, value). Names
        of colors are not included.
    """
    named: dict[str, dict[str, tuple[str, str]]] = {}
    for category in CATEGORIES:
        for attribute, values in attributes_of(category).items():
            for value in values if "colour" not in attribute else ():
                for kind, name in excluded_names(category, attribute, value):
                    if kind != "absence":
                        found = named.setdefault(_simplified(name), {})
                        found.setdefault(category, (attribute, value))
    return named


def _simplified(name: str) -> str:
    """Return a name in the singular, with spaces instead of hyphens."""
    name = name.replace("-", " ")
    return (other_number(name) or name) if is_plural(name) else name


@cache
def _categories_of(kind: str) -> frozenset[str]:
    """Return the categories that a noun names: one for "boots", several for "footwear".

    The result is empty if the vocabulary does not have the noun in this form (singular or plural).
    """
    own = {category for category in CATEGORIES for noun in NOUNS[category] if noun.text == kind}
    return frozenset(own) | HYPERNYMS.get(kind, frozenset())


def category_names(category: str) -> tuple[str, ...]:
    """Return the names by which a category can be excluded, without articles: "dress", "frock"."""
    return tuple(noun.text for noun in generic_nouns(category))


def wide_names() -> dict[str, frozenset[str]]:
    """Return the names by which a text can exclude several categories at once, such as "shoes".

    Returns:
        A dict from each name to the categories that it stands for.
    """
    return {
        name: members for name, members in HYPERNYMS.items() if name not in ("something", "garment")
    }


def without_article(phrase: str) -> str:
    """Return a phrase without its leading "a" or "an"."""
    return phrase.removeprefix("a ").removeprefix("an ")


def is_plural(phrase: str) -> bool:
    """Return whether the main noun of a phrase is plural, as in "buttons down the front"."""
    head = _split_head(phrase)[0].split()[-1]
    return head.endswith("s") and not head.endswith("ss")


@cache
def other_number(phrase: str) -> str | None:
    """Return the plural of a singular phrase, or the singular of a plural phrase.

    Only the main noun changes. It is the last word, or the last word before a preposition: "chest
    pockets" -> "chest pocket", "pocket on the chest" -> "pockets on the chest".

    Returns:
        The other form, or None if the main noun has none ("plaid", "trousers").
    """
    front, tail = _split_head(phrase)
    *before, head = front.split()
    if head in _UNCOUNTED or head in _PLURAL_ONLY:
        return None
    if head == "accessories":
        return " ".join([*before, "accessory"]) + tail
    if is_plural(phrase):
        changed = (
            re.sub(r"(ss|sh|ch|x)es$", r"\1", head)
            if re.search("(ss|sh|ch|x)es$", head)
            else head[:-1]
        )
    elif head.endswith(("s", "x", "ch", "sh")):
        changed = f"{head}es"
    elif head.endswith("y") and head[-2:-1] not in "aeiou":
        changed = f"{head[:-1]}ies"
    else:
        changed = f"{head}s"
    return " ".join([*before, changed]) + tail


def _split_head(phrase: str) -> tuple[str, str]:
    match = _AFTER_HEAD.search(f"{phrase} ")
    return (phrase[: match.start()], phrase[match.start() :]) if match else (phrase, "")


def say_exclusion(
    rng: random.Random, category: str, attribute: str, value: str, text_form: str | None = None
) -> Exclusion:
    """Return a clause that excludes one value of an attribute, in randomly chosen words.

    Args:
        rng: The random generator that chooses the name and the template.
        category: The category whose words are used.
        attribute: The attribute, one of `attributes_of(category)`.
        value: The value to exclude.
        text_form: The template to use, one of `FORMS`; chosen at random if None.
    """
    left = excluded_meaning(category, attribute, value)
    excluded = {
        name: frozenset(attributes_of(category)[name]) - values for name, values in left.items()
    }
    lexical = LEXICAL_NEGATIONS.get((attribute, value))
    if lexical and text_form is None and rng.random() < 0.2:
        return Exclusion(rng.choice(lexical), excluded, left)
    names = excluded_names(category, attribute, value)
    kind = rng.choice(sorted({kind for kind, _ in names}))
    name = rng.choice([name for own, name in names if own == kind])
    return Exclusion(_phrase(rng, kind, name, text_form), excluded, left)


def say_category_exclusion(rng: random.Random, category: str) -> Exclusion:
    """Return a random clause that excludes a category: "not a skirt".

    In some cases, the clause excludes a group that contains the category: "no shoes".
    """
    wide = [name for name, members in wide_names().items() if category in members]
    if wide and rng.random() < 0.15:
        name = rng.choice(wide)
        members = wide_names()[name]
    else:
        name = rng.choice(category_names(category))
        members = frozenset({category})
    allowed = frozenset(CATEGORIES) - members
    return Exclusion(_phrase(rng, "category", name), {"category": members}, {"category": allowed})


def _phrase(rng: random.Random, kind: Kind, name: str, text_form: str | None = None) -> str:
    """Return a random phrase that excludes what a name stands for: "without stripes".

    The phrase is the template `text_form` filled with the name. If `text_form` is None, a random
    template for this kind of name is used. The choice of singular or plural is random.
    """
    if kind in ("thing", "absence") and _is_counted(name) and rng.random() < 0.3:
        name = other_number(name) or name
    form = text_form or rng.choice(FORMS[kind])
    if form.startswith("non-") and (" " in name or "-" in name):
        form = "not {a}" if kind == "category" else "not {x}"
    return fill_form(form, kind, name)


def fill_form(form: str, kind: Kind, name: str) -> str:
    """Fill a template of `FORMS` with a name and, if needed, its article.

    For example, "without {a}" and the name "belt" give "without a belt".
    """
    plural = is_plural(name)
    bare = kind in ("thing", "absence", "category") and (
        plural or name in _NO_ARTICLE or name.endswith(_COLOR_TAILS)
    )
    other = name if plural or name in _NO_ARTICLE else other_number(name) or name
    return form.format(x=name, a=name if bare else with_article(name), s=other, p=name)


_COLOR_TAILS = (" in the pattern", " as the second colour")  # "without white in the pattern"
_NO_ARTICLE = _UNCOUNTED | UNCOUNTABLE


def _is_counted(name: str) -> bool:
    """Return whether a name can be excluded in singular and plural: "no stripe", "no stripes"."""
    head = _split_head(name)[0].split()[-1]
    return head in _COUNTED or head in {f"{word}s" for word in _COUNTED}


def say_exchange(
    rng: random.Random, category: str, attribute: str, new: str, old: str, is_thing: bool
) -> Exclusion:
    """Return a random clause that replaces one value by another: "dots instead of stripes".

    Args:
        rng: The random generator that chooses the name and the template.
        category: The category whose words are used.
        attribute: The attribute.
        new: The words for the new value.
        old: The value to exclude. A value that has only negative names ("no pockets") is excluded
            without a mention of `new`: "not without pockets".
        is_thing: Whether `new` names a part of the garment ("a belt"). If so, the clause prefers
            names of `old` that are parts, too.
    """
    names = excluded_names(category, attribute, old)
    wanted: Kind = "thing" if is_thing else "colour" if attribute == "colour" else "adjective"
    alike = [(kind, name) for kind, name in names if kind == wanted] or [
        (kind, name) for kind, name in names if kind != "absence"
    ]
    if not alike:
        return say_exclusion(rng, category, attribute, old)
    left = excluded_meaning(category, attribute, old)
    excluded = {
        name: frozenset(attributes_of(category)[name]) - values for name, values in left.items()
    }
    kind, name = rng.choice(alike)
    forms = list(_EXCHANGES)
    if kind == "thing" and is_thing:
        forms += _EXCHANGED_THINGS
    form = rng.choice(forms)
    return Exclusion(form.format(new=new, old=name), excluded, left)


def exclusion_captions(
    rng: random.Random, captions: Sequence[str], clauses: Sequence[str]
) -> tuple[str, ...]:
    """Combine captions with clauses that exclude something, into one or two captions.

    For example, "is longer" and "no stripes" may become the single caption "is longer, no stripes".

    Args:
        rng: The random generator that chooses the arrangement.
        captions: The captions that exclude nothing: none, one or two.
        clauses: The clauses that exclude something, at least one.
    """
    clause = rng.choice((", ", " and ")).join(clauses) if len(clauses) > 1 else clauses[0]
    if not captions:
        if len(clauses) > 1 and rng.random() < 0.5:
            return clauses[0], ", ".join(clauses[1:])
        opening = rng.choice(_ALONE) if rng.random() < 0.3 else "{}"
        return (opening.format(clause),)
    if len(captions) == 1 and rng.random() < 0.5:
        pair = (captions[0], clause)
        return pair if rng.random() < 0.7 else pair[::-1]
    frame = rng.choice(("{0}, {1}", "{0}, {1}", "{1}, {0}"))
    if clause.startswith(AFTER_BUT) and rng.random() < 0.3:
        frame = rng.choice(("{0} but {1}", "{0}, but {1}"))
    position = rng.randrange(len(captions))
    joined = [
        frame.format(caption, clause) if number == position else caption
        for number, caption in enumerate(captions)
    ]
    return tuple(joined)


def true_exclusions(garment: Garment) -> Iterator[tuple[str, str]]:
    """Yield each pair (attribute, value) for which "not this value" is true of the garment."""
    for name, values in attributes_of(garment.category).items():
        for value in values:
            left = excluded_meaning(garment.category, name, value)
            if all(garment[other] in allowed for other, allowed in left.items()):
                yield name, value


def exclude_something(
    rng: random.Random, garment: Garment, chosen: frozenset[str], with_category: bool = True
) -> Exclusion:
    """Return a random clause that excludes a value or category that the garment does not have.

    Args:
        rng: The random generator that chooses value and words.
        garment: The garment.
        chosen: The attributes whose values the clause must not exclude, because other phrases
            mention these attributes.
        with_category: If True, one clause in six excludes another category instead of a value. In
            any case, a category is excluded if no value can be excluded.
    """
    possible: dict[str, list[str]] = {}
    for name, value in true_exclusions(garment):
        if name not in chosen and (name, value) != ("second_colour", "none"):
            possible.setdefault(name, []).append(value)
    if not possible or (with_category and rng.random() < 1 / 6):
        candidates = [
            name
            for name in CATEGORIES
            if not any({name, garment.category} <= wide for wide in wide_names().values())
        ]
        return say_category_exclusion(
            rng, rng.choice([o for o in candidates if o != garment.category])
        )
    name = rng.choice(list(possible))
    return say_exclusion(rng, garment.category, name, rng.choice(possible[name]))
