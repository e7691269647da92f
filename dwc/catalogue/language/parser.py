"""Parser that turns a text into constraints on garment attributes.

The parser accepts the small part of English that this package can generate ("the catalogue's
language"). It rejects all other texts, and also texts with more than one meaning. So the result can
serve as ground truth. The docstring of `modifications` has the rules by which the meanings of a
text's phrases are combined.

A `Lexicon` has tables that map phrases to the attribute values that the phrases allow.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import NamedTuple

from dwc.catalogue.language import vocabulary
from dwc.catalogue.language.exclusions import (
    LEXICAL_NEGATIONS,
    category_names,
    excluded_meaning,
    excluded_names,
    other_number,
    wide_names,
    without_article,
)
from dwc.catalogue.language.modifications import Modification, constraints, settle
from dwc.catalogue.language.statements import Allowed
from dwc.catalogue.language.vocabulary import NOUNS
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
from dwc.negation.exclusions import LONGEST_NEGATION, NEGATIONS
from dwc.negation.spelling import spell_out_negations

Tokens = tuple[str, ...]


class Meaning(NamedTuple):
    """The meaning of a phrase: the attribute values that it allows.

    Attributes:
        allowed: Pairs of an attribute and its allowed values. "category" counts as an attribute: a
            noun may name a new category, and a phrase may exclude categories.
        excludes: Whether the phrase only excludes values, such as "no stripes". If no other phrase
            mentions the attribute, it changes only where the reference has an excluded value: "no
            stripes" leaves a plain dress plain.
    """

    allowed: frozenset[tuple[str, frozenset[str]]] = frozenset()
    excludes: bool = False

    @property
    def says_something(self) -> bool:
        """Whether the phrase asks for a value or excludes one; "to match" does neither."""
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

    Each of the following tables maps phrases, without their leading articles, to meanings.

    Attributes:
        being: Phrases that follow "is" or stand before a noun: "long sleeved".
        having: Phrases that follow "with": "long sleeves".
        lacking: Those phrases of `excluded` that continue an exclusion after "and", such as "belt"
            in "no stripes and belt". Other phrases after "and" are wanted: "no stripes and long
            sleeves" asks for long sleeves.
        excluded: Phrases that can follow "no", "not", "without" and similar words.
        names: Nouns: "dress".
        settings: Phrases that neither ask for a value nor exclude one: "to match" in "a bag to
            match".
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

    def add_words(self, words: vocabulary.Words, allowed: Allowed) -> None:
        """Add phrases that have the same meaning.

        Args:
            words: The phrases.
            allowed: The meaning: the values that the phrases allow, by attribute.
        """
        for text in words.being:
            put(self.being, text, allowed)
        for text in words.having:
            put(self.having, text, allowed)
        for text in words.lacking:
            self.exclude(text, allowed, carries_on=True)

    def exclude(self, text: str, allowed: Allowed, carries_on: bool = False) -> None:
        """Add a phrase that can follow a negation, such as "belt" after "no".

        The phrase is added to `excluded` and, if `carries_on` is True, also to `lacking`.

        Args:
            text: The phrase.
            allowed: The values that remain allowed when the phrase is excluded.
            carries_on: Whether the phrase still means an exclusion after "and", such as "belt" in
                "no stripes and belt".
        """
        put(self.excluded, text, allowed, excludes=True)
        if carries_on:
            put(self.lacking, text, allowed, excludes=True)


def put(phrases: Phrases, text: str, allowed: Allowed, excludes: bool = False) -> None:
    """Add a meaning of a phrase to `phrases`, besides any meanings that the phrase already has.

    Args:
        phrases: The meanings of each phrase.
        text: The phrase; "a" or "an" at its beginning is ignored.
        allowed: The values that the phrase allows, by attribute.
        excludes: Whether the phrase only excludes values, such as "no stripes".
    """
    meaning = Meaning(frozenset(allowed.items()), excludes)
    phrases.setdefault(_key(text), set()).add(meaning)


def _key(text: str) -> Tokens:
    """Return the words of a phrase without its leading article.

    An article "an" in the middle of the phrase becomes "a".
    """
    tokens = text.removeprefix("a ").removeprefix("an ").split()
    return tuple(
        ["a" if token == "an" else token for token in tokens] if "an" in tokens else tokens
    )


def named_in(tokens: Tokens, category: str) -> bool:
    """Return whether a text, split into words, contains a noun for the category."""
    text = f" {' '.join(tokens)} "
    return any(f" {noun.text} " in text for noun in NOUNS[category])


@cache
def words_of_category(category: str, is_named: bool) -> Lexicon:
    """Return the lexicon of a category: the phrases whose meaning does not depend on a reference.

    Args:
        category: The category.
        is_named: Whether the text has to name the category. If True, a noun such as "cardigan"
            requires the category and the values that the noun implies (with buttons). If False,
            the category is already known, so the noun only requires these values. A noun that is
            also a phrase for a value ("polo neck") then has only the meaning of that phrase.
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
                    vocabulary.words_for(category, name, value), {name: frozenset({value})}
                )
    present = attributes_of(category)
    for (name, covered), words in vocabulary.COVERING.items():
        if covered <= frozenset(present.get(name, ())):
            lexicon.add_words(words, {name: covered})
    lexicon.add_words(vocabulary.PATTERNED, {"pattern": frozenset(present["pattern"]) - {"plain"}})
    for noun in NOUNS[category]:
        if is_named:
            put(lexicon.names, noun.text, {"category": frozenset({category}), **noun.says})
        elif not noun.says or not _is_value_phrase(lexicon, noun.text):
            put(lexicon.names, noun.text, noun.says)
    for text in _SETTINGS:
        put(lexicon.settings, text, {})
    _add_exclusions(lexicon, category)
    return lexicon


def _add_exclusions(lexicon: Lexicon, category: str) -> None:
    """Add to a lexicon the phrases that a text about a category can exclude.

    The phrases are the names of all categories, and the names of the values that garments of this
    category can have; both in the singular and the plural. Some names of categories also name a
    part that all garments of the category have: all shoes of the category "heels" have a heel. Such
    a name excludes the category, not the part: "no heels".
    """
    names = {text for name in CATEGORIES for text in category_names(name)}
    things: list[str] = []
    for name, values in attributes_of(category).items():
        for value in values:
            left = excluded_meaning(category, name, value)
            denied = vocabulary.DENIED.get((name, value), ())
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
    for (name, covered), words in vocabulary.COVERING.items():
        present = frozenset(attributes_of(category).get(name, ()))
        if present and covered <= present:
            for text in (*words.being, *map(without_article, words.having)):
                if covered < present or text not in names:
                    lexicon.exclude(text, {name: present - covered})
            things += map(without_article, words.having)
    for text in (*vocabulary.PATTERNED.being, *vocabulary.PATTERNED.having):
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
    """Add the plurals of singular phrases, and the singulars of plural ones, to `phrases`.

    Each added form gets the meaning of the phrase in `texts` from which it is made. Texts that are
    not in `phrases` are ignored, and phrases that are already in `phrases` keep their meanings.
    """
    for text in texts:
        other = other_number(text)
        if other is not None and _key(text) in phrases:
            phrases.setdefault(_key(other), phrases[_key(text)])


@cache
def excludable_anywhere() -> frozenset[Tokens]:
    """Return every phrase that can follow a negation ("no", "not", ...) in at least one category.

    The meaning of such a phrase depends on the category. Each phrase is a tuple of words.
    """
    return frozenset(
        key
        for category in CATEGORIES
        for key in words_of_category(category, is_named=False).excluded
    )


@lru_cache(maxsize=64)  # several texts modify a reference
def comparisons(category: str, reference: Garment) -> Lexicon:
    """Return a lexicon of phrases that compare a target with the reference, such as `longer`.

    `category` is the category of the target.
    """
    lexicon = Lexicon()
    for name, values in attributes_of(category).items():
        if category != reference.category and name not in COMMON:
            continue
        before = reference[name]
        for text in vocabulary.ATTRIBUTE_NAMES.get(name, ()):
            for word in ("different", "another"):
                put(lexicon.having, f"{word} {text}", {name: frozenset(values) - {before}})
        scale = vocabulary.scale(category, name)
        if before in scale:
            rank = scale.index(before)
            less, more = vocabulary.compared(category, name)
            _add_compared(lexicon, less, name, scale[:rank][::-1])
            _add_compared(lexicon, more, name, scale[rank + 1 :])
    _add_busyness(lexicon, category, vocabulary.BUSYNESS[reference["pattern"]])
    rank = SHADES.index(reference["shade"])
    for words, beyond in (
        (("darker", "deeper"), SHADES[rank + 1 :]),
        (("lighter", "paler"), SHADES[:rank]),
    ):
        for color in set(COLORS) - UNSHADED:
            allowed = {"colour": frozenset({color}), "shade": frozenset(beyond)}
            for name in vocabulary.BARE[color]:
                for word in words:
                    put(lexicon.being, f"{word} {name}", allowed)
                    put(lexicon.colors, f"{word} {name}", allowed)
    return lexicon


def _is_value_phrase(lexicon: Lexicon, text: str) -> bool:
    return any(tuple(text.split()) in phrases for phrases in (lexicon.being, lexicon.having))


def _add_color(lexicon: Lexicon, color: str) -> None:
    is_shaded = color not in UNSHADED
    fixed = {"colour": frozenset({color})}
    for name in vocabulary.BARE[color]:
        allowed = fixed if is_shaded else {**fixed, "shade": frozenset({"mid"})}
        put(lexicon.being, name, allowed)
        put(lexicon.colors, name, allowed)
    for shade in SHADES if is_shaded else ():
        for name in vocabulary.shaded_names(color, shade):
            allowed = {**fixed, "shade": frozenset({shade})}
            put(lexicon.being, name, allowed)
            put(lexicon.colors, name, allowed)


def _add_pattern_in_colors(lexicon: Lexicon, pattern: str) -> None:
    for color in COLORS:
        second = {"second_colour": frozenset({color})}
        allowed = {"pattern": frozenset({pattern}), **second}
        for name in _beside(color):
            for frame in vocabulary.PATTERN_IN_COLOR.get(pattern, ()):
                put(lexicon.having, frame.format(name), allowed)
            for frame in ("{} in the pattern", "pattern in {}", "{} as the second colour"):
                put(lexicon.having, frame.format(name), second)
            if pattern != "plain":
                for pattern_word in vocabulary.PATTERN_WORDS[pattern].being:
                    put(lexicon.pattern_words, f"{name} {pattern_word}", allowed)


def _beside(color: str) -> Iterable[str]:
    """Return the names of a color that can follow another color: "white" in "red and white"."""
    return (color,) if color in UNSHADED else vocabulary.BARE[color]


def _add_compared(
    lexicon: Lexicon, words: vocabulary.Words, name: str, beyond: tuple[str, ...]
) -> None:
    lexicon.add_words(words, {name: frozenset(beyond)})
    for text in words.being:
        for by in _A_LITTLE:
            put(lexicon.being, f"{by} {text}", {name: frozenset(beyond[:1])})
        for by in _A_LOT:
            put(lexicon.being, f"{by} {text}", {name: frozenset(beyond[1:])})


def _add_busyness(lexicon: Lexicon, category: str, before: int) -> None:
    less, more = vocabulary.compared(category, "busyness")
    ranks = {pattern: vocabulary.BUSYNESS[pattern] for pattern in patterns_of(category)}
    lexicon.add_words(less, {"pattern": frozenset(p for p, rank in ranks.items() if rank < before)})
    lexicon.add_words(more, {"pattern": frozenset(p for p, rank in ranks.items() if rank > before)})


_NOTHING = Meaning()
_TOKEN = re.compile(r"[a-z]+(?:['-][a-z]+)*|,")
_STOPS = re.compile(r"[.;:!?]+")
_LONGEST = 7  # maximum number of words in a phrase

# Words without a meaning of their own. A part of the garment may follow the words in `_HAVE` ("with
# a belt"), an adjective or a noun those in `_BE` ("make it blue").
_HAVE = frozenset({"has", "have", "with", "add"})
_BE = frozenset({
    "is", "are", "be", "make", "it", "them", "they", "this", "these", "the", "i", "i'd", "want",
    "like", "just", "exactly", "only", "same", "similar", "style", "looks", "look", "should",
    "could", "needs", "need", "to", "as", "instead", "show", "me", "of", "pair", "please",
    "something", "anything", "everything",
})  # fmt: skip
# Filler words that are part of a negation if one of the listed words follows, as in "instead of".
_NOT_FILLERS = {
    "instead": ("of",),
    "something": ("but", "except", "other"),
    "anything": ("but", "except", "other"),
    "everything": ("but", "except", "other"),
}


_EXCLUDING = frozenset({"no", "without", "removing"})
_AFTER_EXCLUSION = {"no": "denied", "without": "holding", "removing": "removed"}
_ARTICLES = frozenset({"a", "any", "the"})


@dataclass(frozen=True)
class Demand:
    """The constraints on the target garment that a text expresses.

    Attributes:
        category: The category of the target garment; None if the text does not determine a single
            category.
        values: The allowed values of each constrained attribute, if `category` is given.
        by_category: If `category` is None, the constraints for each category that fits, in the form
            of `values`; otherwise empty.
    """

    category: str | None
    values: Mapping[str, frozenset[str]]
    by_category: Mapping[str, Mapping[str, frozenset[str]]] = field(default_factory=dict)

    def fits(self, garment: Garment) -> bool:
        """Return whether a garment satisfies the constraints."""
        if not self.allows_category(garment.category):
            return False
        values = self.values_for(garment.category)
        return all(garment[name] in allowed for name, allowed in values.items())

    def allows_category(self, category: str) -> bool:
        """Return whether the target garment may be of a given category."""
        return category == self.category if self.category else category in self.by_category

    def values_for(self, category: str) -> Mapping[str, frozenset[str]]:
        """Return the constraints on garments of a category; empty if the category is not allowed.

        The dict maps each constrained attribute to its allowed values.
        """
        if not self.allows_category(category):
            return {}
        return self.values if self.category else self.by_category[category]

    @property
    def is_possible(self) -> bool:
        """Whether some category fits, and each attribute in `values` has an allowed value."""
        possible = bool(self.category or self.by_category)
        return possible and all(self.values.values())


def parse_modification(text: str, reference: Garment | None = None) -> Demand | None:
    """Return the constraints that a modification or a description puts on the target garment.

    Args:
        text: The text to parse.
        reference: The garment that the text modifies; attributes that the text does not mention
            keep the values of this garment. If None, the text is a description: it has to name a
            category or contain only exclusions ("no stripes"), and attributes that it does not
            mention may have any value.

    Returns:
        The constraints; None if the text has no meaning in this language, or more than one.
    """
    tokens = _tokens(text)
    if reference is not None:
        lexicons = [words_of_category(reference.category, is_named=False)]
        lexicons.append(comparisons(reference.category, reference))
        if meanings := _Reader(tokens, lexicons).read(named=False):
            return _modified(reference, None, meanings)
    parses = []
    for category in CATEGORIES:
        if (reference and category == reference.category) or not named_in(tokens, category):
            continue
        lexicons = [words_of_category(category, is_named=True)]
        if reference is not None:
            lexicons.append(comparisons(category, reference))
        parses += [(category, said) for said in _Reader(tokens, lexicons).read(named=True)]
    categories = {category for category, _ in parses}
    if not categories and reference is None:
        return _all_but(tokens)
    if len(categories) != 1:
        return None
    category, meanings = categories.pop(), [said for _, said in parses]
    return (
        _described(category, meanings)
        if reference is None
        else _modified(reference, category, meanings)
    )


class _Reading(NamedTuple):
    """A possible parse of a text from some token to the last token.

    Attributes:
        pieces: The number of phrases into which the tokens are split.
        named: The number of these phrases that name a category.
        said: The meanings of those phrases that state or exclude something; see
            `Meaning.says_something`.
    """

    pieces: int
    named: int
    said: frozenset[Meaning]


class _Step(NamedTuple):
    """One step of the parser, which consumes a phrase or a connecting word.

    Attributes:
        pieces: How many phrases the step counts as: 1 for a phrase, 0 for a connecting word, which
            is an article, a comma, a conjunction or a negation ("no").
        end: The index of the first token after the step.
        after: The parser's mode after the step: a string that decides which phrases may come next.
            `_Reader` lists the modes.
        meaning: The meaning of the phrase. The meaning of a connecting word restricts nothing.
    """

    pieces: int
    end: int
    after: str
    meaning: Meaning = _NOTHING


class _Reader:
    """Parser that splits a text into phrases and returns all parses with the fewest phrases.

    The parser reads the tokens from left to right. A string, its mode, decides which phrases may
    come next:

    - "open": any phrase. This is the mode at the start of a text.
    - "be": adjectives and nouns, as after "is".
    - "have": parts of a garment, as after "with".
    - "adjective", "thing", "name": the last phrase was an adjective, a part of a garment or a noun.
    - "no", "without", "removing": the last word was a negation of this kind. The next phrase is
      excluded.
    - "denied", "holding", "removed": the last phrase was excluded by a negation such as "no"
      ("denied"), such as "without" ("holding"), or such as "removing" ("removed").
    - "listed": the last token was the comma in a list of exclusions ("without pockets, stripes").
    - "listed_color": the last phrase was a color in such a list. The list then has to end with
      "or", because "without pockets, blue" asks for blue.
    - "either": after "no stripes and". The next phrase is either excluded or asked for.
    - "and_remove": after "remove the stripes and". The next phrase is excluded, unless it starts
      with a verb.
    - "remove_either": after "remove the stripes,". The next phrase is either excluded or asked for.
    """

    def __init__(self, tokens: Tokens, lexicons: Sequence[Lexicon]) -> None:
        self._tokens = tokens
        self._lexicons = lexicons
        self._known: dict[tuple[int, str], list[_Reading]] = {}

    def read(self, named: bool) -> list[frozenset[Meaning]]:
        """Return the possible parses of the text, each as the set of its phrases' meanings.

        Parses that neither state nor exclude anything are left out.

        Args:
            named: If True, only parses that name a category exactly once are returned. If False,
                only parses that name no category are returned.
        """
        readings = self._from(0, "open")
        return [reading.said for reading in readings if reading.named == named and reading.said]

    def _from(self, start: int, mode: str) -> list[_Reading]:
        """Return the possible parses of the tokens from index `start` to the end of the text.

        `mode` is the parser's mode at `start`: a string that decides which phrases may come next.
        Among parses that name equally many categories, only those with the fewest phrases are
        returned.
        """
        if start == len(self._tokens):
            is_open = mode in _EXCLUDING or mode == "listed_color"
            return [] if is_open else [_Reading(0, 0, frozenset())]
        if (start, mode) not in self._known:
            readings = {
                _Reading(
                    rest.pieces + pieces,
                    rest.named + _names_category(meaning),
                    rest.said | ({meaning} if meaning.says_something else frozenset()),
                )
                for pieces, end, after, meaning in self._steps(start, mode)
                for rest in self._from(end, after)
            }
            least: dict[int, int] = {}
            for reading in readings:
                least[reading.named] = min(least.get(reading.named, 1000), reading.pieces)
            self._known[start, mode] = [r for r in readings if r.pieces == least[r.named]]
        return self._known[start, mode]

    def _steps(self, start: int, mode: str) -> Iterator[_Step]:
        token = self._tokens[start]
        if token == "a" or (token in _ARTICLES and mode in _EXCLUDING):
            yield _Step(0, start + 1, mode)
        elif mode in _EXCLUDING:
            yield from self._excluded(start, _AFTER_EXCLUSION[mode])
        elif token in (",", "and", "or"):
            yield from self._separated(start, mode)
        else:
            yield from self._wanted(start, mode)

    def _separated(self, start: int, mode: str) -> Iterator[_Step]:
        token = self._tokens[start]
        after = "either" if mode in ("denied", "holding", "listed", "either") else "open"
        if mode in ("removed", "remove_either", "and_remove"):
            after = "remove_either" if token == "," else "and_remove"
        elif mode == "listed_color" and token == "and":
            return
        elif mode in ("holding", "listed_color") and token != "and":
            after = "listed" if token == "," else "without"
        elif token == "or":
            return
        yield _Step(0, start + 1, after)

    def _wanted(self, start: int, mode: str) -> Iterator[_Step]:
        if mode == "listed_color":
            return
        if mode == "listed":  # "without pockets, stripes": prefer to continue the list
            listed = list(self._carried_on(start, "holding"))
            things = [step for step in listed if not _restricts(step.meaning, "colour")]
            if things:
                yield from things
                return
            yield from (step._replace(after="listed_color") for step in listed)
        if mode in ("and_remove", "remove_either"):
            skipped = mode == "and_remove" and self._tokens[start] == "the"
            for step in self._excluded(start + skipped, "removed"):
                if not _restricts(step.meaning, "category"):
                    yield step
        yield from self._openings(start, mode)
        is_open = mode in ("open", "either", "listed", "remove_either")
        for lexicon in self._lexicons:
            if is_open or mode in ("be", "adjective"):
                yield from self._matches(start, lexicon.being, "adjective")
                yield from self._matches(start, lexicon.names, "name")
                yield from self._two_colors(start, lexicon)
            if is_open or mode == "have":
                yield from self._matches(start, lexicon.having, "thing")
            if mode in ("denied", "holding", "removed"):  # "not a red dress"
                for step in self._matches(start, lexicon.names, mode):
                    if not step.meaning.says_something:
                        yield step
            yield from self._matches(start, lexicon.settings, "be")
        if mode == "either":
            yield from self._carried_on(start, "denied")

    def _openings(self, start: int, mode: str) -> Iterator[_Step]:
        """Yield parser steps for words that only decide what may follow, such as "with" or "is".

        `mode` is the parser's mode at `start`: a string that decides which phrases may come next.
        """
        token = self._tokens[start]
        after = self._tokens[start + 1 : start + 2]
        if token == "nothing" and after == ("but",):
            yield _Step(1, start + 2, "be")
            return
        for length in range(min(LONGEST_NEGATION, len(self._tokens) - start), 0, -1):
            if negation := NEGATIONS.get(self._tokens[start : start + length]):
                yield _Step(0, start + length, negation)
                break
        if token in _HAVE or (token == "for" and mode == "removed"):
            yield _Step(1, start + 1, "have")
        if token == "but":  # "no stripes but dots"; elsewhere ("same but") it acts like "is"
            excluded = mode in ("denied", "holding", "removed")
            yield _Step(1, start + 1, "open" if excluded else "be")
        is_filler = token in _BE and not (after and after[0] in _NOT_FILLERS.get(token, ()))
        if is_filler or (token == "in" and mode in ("open", "either", "be", "name")):
            yield _Step(1, start + 1, "be")

    def _excluded(self, start: int, after: str) -> Iterator[_Step]:
        """Yield one parser step for each phrase that can be excluded after a negation such as "no".

        Several phrases can start at one position: "long" and "long sleeves" in "no long sleeves".

        Args:
            start: The index of the first token of the phrases.
            after: The parser's mode after the phrase: a string that decides which phrases may come
                next.
        """
        for lexicon in self._lexicons:
            yield from self._matches(start, lexicon.excluded, after)

    def _carried_on(self, start: int, after: str) -> Iterator[_Step]:
        """Yield one parser step for each phrase that continues an exclusion after "and".

        In "no stripes and belt", "belt" is such a phrase.

        Args:
            start: The index of the first token of the phrases.
            after: The parser's mode after the phrase: a string that decides which phrases may come
                next.
        """
        for lexicon in self._lexicons:
            yield from self._matches(start, lexicon.lacking, after)

    def _matches(
        self, start: int, phrases: Mapping[Tokens, set[Meaning]], after: str
    ) -> Iterator[_Step]:
        for end in range(start + 1, min(start + _LONGEST, len(self._tokens)) + 1):
            for meaning in phrases.get(self._tokens[start:end], ()):
                yield _Step(1, end, after, meaning)

    def _two_colors(self, start: int, lexicon: Lexicon) -> Iterator[_Step]:
        """Yield one parser step for each phrase of two colors and a pattern.

        In "navy and white striped", the main color comes first, then the second color with the
        pattern. `start` is the index of the phrase's first token.
        """
        pattern_words = self._lexicons[0].pattern_words
        for color in self._matches(start, lexicon.colors, ""):
            if self._tokens[color.end : color.end + 1] == ("and",):
                for pattern in self._matches(color.end + 1, pattern_words, ""):
                    both = Meaning(color.meaning.allowed | pattern.meaning.allowed)
                    yield _Step(1, pattern.end, "adjective", both)


def _restricts(meaning: Meaning, attribute: str) -> bool:
    """Return whether a phrase restricts the values of `attribute`, which may be "category"."""
    return any(name == attribute for name, _ in meaning.allowed)


def _names_category(meaning: Meaning) -> bool:
    """Return whether a phrase names the category of the target garment."""
    return not meaning.excludes and _restricts(meaning, "category")


def _tokens(text: str) -> Tokens:
    """Split a text into lowercase words and commas; "an" becomes "a".

    Negations are brought to a standard spelling first: "isnt" becomes "isn't".

    Returns:
        The tokens. Empty if the text has any characters besides letters, hyphens, apostrophes,
        spaces and the punctuation marks `,.;:!?`.
    """
    plain = _STOPS.sub(",", spell_out_negations(text.lower()))
    tokens = tuple(_TOKEN.findall(plain))
    if "".join(tokens) != "".join(plain.split()):
        return ()
    words: list[str] = []
    for token in tokens:
        words += (
            ["non", token[4:]] if token.startswith("non-") else ["a" if token == "an" else token]
        )
    return tuple("a" if word == "an" else word for word in words)


def _modified(
    reference: Garment, category: str | None, readings: Sequence[frozenset[Meaning]]
) -> Demand | None:
    """Return the constraints on the target garment if all parses of a modification agree.

    Args:
        reference: The garment to modify.
        category: The category that the text names, or None.
        readings: The possible parses of the text, each as the set of its phrases' meanings.

    Returns:
        The constraints; None if the parses give different ones, or if no garment can satisfy them.
    """
    return _only([_changed(reference, category, reading) for reading in readings])


def _changed(reference: Garment, category: str | None, reading: frozenset[Meaning]) -> Demand:
    """Return the constraints on the target garment according to one parse of a modification.

    Args:
        reference: The garment to modify.
        category: The category that the text names, or None.
        reading: The parse: the set of the meanings of its phrases.
    """
    statements = [_attributes(meaning) for meaning in reading if not meaning.excludes]
    wanted = {name for statement in statements for name in statement}
    for meaning in reading:
        if meaning.excludes:
            left = _attributes(meaning).items()
            statements.append(
                {
                    n: allowed
                    for n, allowed in left
                    if n in wanted or reference.get(n) not in allowed
                }
            )
    categories = _categories(reading)
    kind = category or reference.category
    if kind in categories:
        allowed, free = settle(reference, kind, statements)
        changed = Modification((), category, allowed, frozenset(allowed), frozenset(), free)
        return Demand(kind, constraints(reference, changed))
    if category is not None or not wanted <= set(COMMON):
        return Demand(None, {})
    allowed, free = settle(reference, kind, statements)
    excluded = {"category": frozenset(CATEGORIES) - categories}
    changed = Modification((), None, allowed, frozenset(allowed), frozenset(), free, excluded)
    values = constraints(reference, changed)
    return Demand(None, values, dict.fromkeys(sorted(categories), values))


def _described(category: str, readings: Sequence[frozenset[Meaning]]) -> Demand | None:
    """Return the constraints on the target garment if all parses of a description agree.

    Args:
        category: The category that the text names or allows.
        readings: The possible parses of the text, each as the set of its phrases' meanings.

    Returns:
        The constraints; None if the parses give different ones, or if no garment can satisfy them.
    """
    demands = []
    for reading in readings:
        values: dict[str, frozenset[str]] = {}
        for meaning in reading:
            for name, allowed in _attributes(meaning).items():
                values[name] = values.get(name, allowed) & allowed
        fits = category in _categories(reading)
        demands.append(Demand(category if fits else None, values))
    return _only(demands)


def _all_but(tokens: Tokens) -> Demand | None:
    """Parse a description that consists of exclusions only, such as "no stripes" or "not a hat".

    A category that lacks the excluded attribute matches: every hat matches "no sleeves".

    Returns:
        The constraints for each matching category; None if the text also requires something, has no
        meaning, or matches no category.
    """
    by_category = {}
    for category in CATEGORIES:
        lexicons = [words_of_category(category, is_named=False), _vacuous(category)]
        readings = _Reader(tokens, lexicons).read(named=False)
        if not readings or not all(m.excludes for reading in readings for m in reading):
            return None
        possible = [r for r in readings if category in _categories(r)]
        if demand := possible and _described(category, possible):
            by_category[category] = demand.values
    return Demand(None, {}, by_category) if by_category else None


@cache
def _vacuous(category: str) -> Lexicon:
    """Return a lexicon of phrases whose exclusion has no effect in a category.

    For example, no hat has sleeves. So "no sleeves" restricts nothing among hats, although it does
    among dresses.
    """
    own = words_of_category(category, is_named=False).excluded
    says_nothing = {Meaning(excludes=True)}
    phrases: Phrases = dict.fromkeys(excludable_anywhere() - own.keys(), says_nothing)
    return Lexicon(excluded=phrases)


def _attributes(meaning: Meaning) -> dict[str, frozenset[str]]:
    """Return the allowed values of each attribute that a phrase mentions."""
    return {name: allowed for name, allowed in meaning.allowed if name != "category"}


def _categories(reading: frozenset[Meaning]) -> frozenset[str]:
    """Return the categories that one parse of a text does not exclude."""
    left = frozenset(CATEGORIES)
    for meaning in reading:
        if meaning.excludes:
            for name, allowed in meaning.allowed:
                left = left & allowed if name == "category" else left
    return left


def _only(demands: Sequence[Demand]) -> Demand | None:
    """Return the constraints that a text expresses, if all its parses give the same ones.

    `demands` has the constraints of each parse. The result is None if they differ, or if no garment
    can satisfy them.
    """
    first = demands[0]
    return first if all(demand == first for demand in demands) and first.is_possible else None
