"""The lexicon: tables that map phrases to the attribute values that the phrases allow."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import NamedTuple

from dwc.catalogue.language import value_words
from dwc.catalogue.language.exclusions import (
    LEXICAL_NEGATIONS,
    category_names,
    excluded_meaning,
    excluded_names,
    other_number,
    wide_names,
    without_article,
)
from dwc.catalogue.language.nouns import NOUNS
from dwc.catalogue.language.statements import Allowed
from dwc.catalogue.schema import (
    CATEGORIES,
    COLORS,
    COMMON,
    SHADES,
    UNSHADED,
    Garment,
    attributes_of,
    patterns_of,
)

Tokens = tuple[str, ...]


class Meaning(NamedTuple):
    """The meaning of a phrase: the attribute values that it allows.

    Attributes:
        allowed: Pairs of an attribute and its allowed values. A noun that names a new category and
            a phrase that excludes categories have a pair ("category", allowed categories).
        excludes: Whether the phrase only excludes values. If the reference has none of the excluded
            values, the attribute then keeps its value in the reference.
    """

    allowed: frozenset[tuple[str, frozenset[str]]] = frozenset()
    excludes: bool = False

    @property
    def says_something(self) -> bool:
        """Whether the phrase restricts anything."""
        return bool(self.allowed) or self.excludes


Phrases = dict[Tokens, set[Meaning]]

_A_LITTLE = ("bit", "slightly", "little")
_A_LOT = ("much", "lot", "way")
_SETTINGS = (
    "same pattern on", "same look as", "same pattern", "same print", "in the same colours",
    "to match", "with this look", "in it", "on it", "one", "ones",
)  # fmt: skip


@dataclass
class Lexicon:
    """Phrases with their meanings, grouped by where they can stand in a sentence.

    Each attribute maps phrases, without their leading articles, to meanings.

    Attributes:
        being: Phrases that follow "is" or stand before a noun: "long sleeved".
        having: Phrases that follow "with": "long sleeves".
        lacking: The phrases of `excluded` that are also excluded as a later entry of a list after
            "no": "no stripes and belt" excludes a belt. Other phrases are not excluded in this
            position: "no stripes and long sleeves" asks for long sleeves.
        excluded: Phrases that can follow "no", "not", "without" and similar words.
        names: Nouns: "dress".
        settings: Phrases that restrict nothing: "to match".
        colors: The phrases of `being` after which a second color can be named: "navy", as in "navy
            and white striped".
        pattern_words: Phrases of a second color with its pattern: "white striped".
    """

    being: Phrases = field(default_factory=dict)
    having: Phrases = field(default_factory=dict)
    lacking: Phrases = field(default_factory=dict)
    excluded: Phrases = field(default_factory=dict)
    names: Phrases = field(default_factory=dict)
    settings: Phrases = field(default_factory=dict)
    colors: Phrases = field(default_factory=dict)
    pattern_words: Phrases = field(default_factory=dict)

    def add_words(self, words: value_words.Words, allowed: Allowed) -> None:
        """Add phrases that have the same meaning.

        Args:
            words: The phrases.
            allowed: The meaning: maps attributes to the values that the phrases allow.
        """
        for text in words.being:
            put(self.being, text, allowed)
        for text in words.having:
            put(self.having, text, allowed)
        for text in words.lacking:
            self.exclude(text, allowed, carries_on=True)

    def exclude(self, text: str, allowed: Allowed, carries_on: bool = False) -> None:
        """Add a phrase to `excluded`, and to `lacking` too if `carries_on`.

        Args:
            text: The phrase.
            allowed: The values that remain allowed when the phrase is excluded.
            carries_on: Whether the phrase is also excluded as a later entry of a list that begins
                with "no".
        """
        put(self.excluded, text, allowed, excludes=True)
        if carries_on:
            put(self.lacking, text, allowed, excludes=True)


def put(phrases: Phrases, text: str, allowed: Allowed, excludes: bool = False) -> None:
    """Add a phrase and its meaning to `phrases`; a phrase may have several meanings."""
    meaning = Meaning(frozenset(allowed.items()), excludes)
    phrases.setdefault(_key(text), set()).add(meaning)


def _key(text: str) -> Tokens:
    """Return the words of a phrase without its leading article.

    An article "an" in the middle of the phrase becomes "a".
    """
    tokens = text.removeprefix("a ").removeprefix("an ").split()
    return tuple("a" if token == "an" else token for token in tokens)


def named_in(tokens: Tokens, category: str) -> bool:
    """Return whether the words contain a name of the category."""
    text = f" {' '.join(tokens)} "
    return any(f" {noun.text} " in text for noun in NOUNS[category])


@cache
def words_of_category(category: str, is_named: bool) -> Lexicon:
    """Return the lexicon of a category's phrases that mean the same for every reference garment.

    Args:
        category: The category.
        is_named: Whether a noun of the category means that the target has this category. If False,
            the category is known already, and a noun only restricts the attributes that the noun
            specifies ("cardigan": with buttons). A noun that is also a phrase for a value ("polo
            neck") then has only the meaning of that phrase.
    """
    lexicon = Lexicon()
    for color in COLORS:
        _add_color(lexicon, color)
    for pattern in patterns_of(category):
        _add_pattern_in_colors(lexicon, pattern)
    for name, values in attributes_of(category).items():
        if name not in ("colour", "second_colour"):
            for value in values:
                lexicon.add_words(
                    value_words.words_for(category, name, value), {name: frozenset({value})}
                )
    present = attributes_of(category)
    for (name, covered), words in value_words.COVERING.items():
        if covered <= frozenset(present.get(name, ())):
            lexicon.add_words(words, {name: covered})
    lexicon.add_words(value_words.PATTERNED, {"pattern": frozenset(present["pattern"]) - {"plain"}})
    for noun in NOUNS[category]:
        if is_named:
            put(lexicon.names, noun.text, {"category": frozenset({category}), **noun.says})
        elif not noun.says or not _says_a_value(lexicon, noun.text):
            put(lexicon.names, noun.text, noun.says)
    for text in _SETTINGS:
        put(lexicon.settings, text, {})
    _add_exclusions(lexicon, category)
    return lexicon


def _add_exclusions(lexicon: Lexicon, category: str) -> None:
    """Add the phrases that can be excluded: names of the category's values and of all categories.

    Phrases are added in the singular and the plural. In the category "heels", the phrase "heels"
    would exclude all values of an attribute, because all shoes of the category have a heel; such a
    phrase is treated as the category's noun.
    """
    names = {text for name in CATEGORIES for text in category_names(name)}
    things: list[str] = []
    for name, values in attributes_of(category).items():
        for value in values:
            left = excluded_meaning(category, name, value)
            denied = value_words.DENIED.get((name, value), ())
            for kind, text in excluded_names(category, name, value):
                if kind == "absence":
                    for lack in filter(None, (text, other_number(text))):
                        for opening in ("without", "without a", "without any"):
                            put(lexicon.excluded, f"{opening} {lack}", left, excludes=True)
                elif all(left.values()) or text not in names:
                    lexicon.exclude(text, left, text in denied or kind == "colour")
                if kind != "adjective":
                    things.append(text)
            for text in LEXICAL_NEGATIONS.get((name, value), ()):
                if _key(text) not in lexicon.being:
                    put(lexicon.being, text, left, excludes=True)
    for (name, covered), words in value_words.COVERING.items():
        present = frozenset(attributes_of(category).get(name, ()))
        if present and covered <= present:
            for text in (*words.being, *map(without_article, words.having)):
                if covered < present or text not in names:
                    lexicon.exclude(text, {name: present - covered})
            things += map(without_article, words.having)
    for text in (*value_words.PATTERNED.being, *value_words.PATTERNED.having):
        lexicon.exclude(text, {"pattern": frozenset({"plain"})})
    for phrases in (lexicon.excluded, lexicon.lacking):
        _add_other_numbers(phrases, [text for text in things if other_number(text) not in names])
    excluded = {text: frozenset({name}) for name in CATEGORIES for text in category_names(name)}
    named: Phrases = {}
    for text, members in (excluded | wide_names()).items():
        put(named, text, {"category": frozenset(CATEGORIES) - members}, excludes=True)
    _add_other_numbers(named, [*(excluded.keys() - _NO_OTHER_NUMBER), *wide_names()])
    for key, meanings in named.items():
        lexicon.excluded.setdefault(key, meanings)


# Names of categories that mean something else in the singular: "no flats" is not "no flat".
_NO_OTHER_NUMBER = frozenset({"flats", "heels", "shorts"})


def _add_other_numbers(phrases: Phrases, texts: Iterable[str]) -> None:
    """Add the plural of each singular phrase and the singular of each plural phrase, if absent."""
    for text in texts:
        other = other_number(text)
        if other is not None and _key(text) in phrases:
            phrases.setdefault(_key(other), phrases[_key(text)])


@cache
def excludable_anywhere() -> frozenset[Tokens]:
    """Return every phrase that can be excluded in at least one category."""
    return frozenset(
        key
        for category in CATEGORIES
        for key in words_of_category(category, is_named=False).excluded
    )


@lru_cache(maxsize=64)  # several texts modify a reference
def comparisons(category: str, reference: Garment) -> Lexicon:
    """Return a lexicon of phrases that compare with a reference: `longer`, `a darker blue`."""
    lexicon = Lexicon()
    for name, values in attributes_of(category).items():
        if category != reference.category and name not in COMMON:
            continue
        before = reference[name]
        for text in value_words.ATTRIBUTE_NAMES.get(name, ()):
            for word in ("different", "another"):
                put(lexicon.having, f"{word} {text}", {name: frozenset(values) - {before}})
        scale = value_words.scale(category, name)
        if before in scale:
            rank = scale.index(before)
            less, more = value_words.compared(category, name)
            _add_compared(lexicon, less, name, scale[:rank][::-1])
            _add_compared(lexicon, more, name, scale[rank + 1 :])
    _add_busyness(lexicon, category, value_words.BUSYNESS[reference["pattern"]])
    rank = SHADES.index(reference["shade"])
    for words, beyond in (
        (("darker", "deeper"), SHADES[rank + 1 :]),
        (("lighter", "paler"), SHADES[:rank]),
    ):
        for color in set(COLORS) - UNSHADED:
            allowed = {"colour": frozenset({color}), "shade": frozenset(beyond)}
            for name in value_words.BARE[color]:
                for word in words:
                    put(lexicon.being, f"{word} {name}", allowed)
                    put(lexicon.colors, f"{word} {name}", allowed)
    return lexicon


def _says_a_value(lexicon: Lexicon, text: str) -> bool:
    return any(tuple(text.split()) in phrases for phrases in (lexicon.being, lexicon.having))


def _add_color(lexicon: Lexicon, color: str) -> None:
    is_shaded = color not in UNSHADED
    fixed = {"colour": frozenset({color})}
    for name in value_words.BARE[color]:
        allowed = fixed if is_shaded else {**fixed, "shade": frozenset({"mid"})}
        put(lexicon.being, name, allowed)
        put(lexicon.colors, name, allowed)
    for shade in SHADES if is_shaded else ():
        for name in value_words.shaded_names(color, shade):
            allowed = {**fixed, "shade": frozenset({shade})}
            put(lexicon.being, name, allowed)
            put(lexicon.colors, name, allowed)


def _add_pattern_in_colors(lexicon: Lexicon, pattern: str) -> None:
    for color in COLORS:
        second = {"second_colour": frozenset({color})}
        allowed = {"pattern": frozenset({pattern}), **second}
        for name in _beside(color):
            for frame in value_words.PATTERN_IN_COLOR.get(pattern, ()):
                put(lexicon.having, frame.format(name), allowed)
            for frame in ("{} in the pattern", "pattern in {}", "{} as the second colour"):
                put(lexicon.having, frame.format(name), second)
            if pattern != "plain":
                for pattern_word in value_words.PATTERN_WORDS[pattern].being:
                    put(lexicon.pattern_words, f"{name} {pattern_word}", allowed)


def _beside(color: str) -> Iterable[str]:
    """Return the names of a color for use as the second of two colors in a phrase."""
    return (color,) if color in UNSHADED else value_words.BARE[color]


def _add_compared(
    lexicon: Lexicon, words: value_words.Words, name: str, beyond: tuple[str, ...]
) -> None:
    lexicon.add_words(words, {name: frozenset(beyond)})
    for text in words.being:
        for by in _A_LITTLE:
            put(lexicon.being, f"{by} {text}", {name: frozenset(beyond[:1])})
        for by in _A_LOT:
            put(lexicon.being, f"{by} {text}", {name: frozenset(beyond[1:])})


def _add_busyness(lexicon: Lexicon, category: str, before: int) -> None:
    less, more = value_words.compared(category, "busyness")
    ranks = {pattern: value_words.BUSYNESS[pattern] for pattern in patterns_of(category)}
    lexicon.add_words(less, {"pattern": frozenset(p for p, rank in ranks.items() if rank < before)})
    lexicon.add_words(more, {"pattern": frozenset(p for p, rank in ranks.items() if rank > before)})
