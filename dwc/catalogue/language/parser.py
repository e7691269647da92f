"""The parser of the catalogue's language: from a text to the garments that it asks for.

Only the catalogue's own language is parsed, and only where it has one meaning; everything else is
not understood, so that the result can be taken for the truth. `modifications` has the rules by
which the phrases of a text are combined.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

from dwc.catalogue.language.lexicon import (
    Lexicon,
    Meaning,
    Phrases,
    Tokens,
    comparisons,
    excludable_anywhere,
    named_in,
    words_of_category,
)
from dwc.catalogue.language.modifications import Modification, constraints, settle
from dwc.catalogue.schema import CATEGORIES, COMMON, Garment
from dwc.negation import LONGEST_NEGATION, NEGATIONS, spell_out_minus

_NOTHING = Meaning()
_TOKEN = re.compile(r"[a-z]+(?:['-][a-z]+)*|,")
_STOPS = re.compile(r"[.;:!?]+")
_LONGEST = 7  # words of a phrase

# Words that ask for nothing by themselves, by what may follow them.
_HAVE = frozenset({"has", "have", "with", "add"})
_BE = frozenset({
    "is", "are", "be", "make", "it", "them", "they", "this", "these", "the", "i", "i'd", "want",
    "like", "just", "exactly", "only", "same", "similar", "style", "looks", "look", "should",
    "could", "needs", "need", "to", "as", "instead", "show", "me", "of", "pair", "please",
    "something", "anything", "everything",
})  # fmt: skip
# Before these words a filler is part of a negation: "instead of", "anything but".
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
    """What a text asks for.

    Attributes:
        category: The category, or None where several fit.
        values: The allowed values of the garment's attributes.
        by_category: Where `category` is None, each category that fits, with the allowed values of
            its attributes.
    """

    category: str | None
    values: Mapping[str, frozenset[str]]
    by_category: Mapping[str, Mapping[str, frozenset[str]]] = field(default_factory=dict)

    def fits(self, garment: Garment) -> bool:
        """Whether a garment is what was asked for."""
        if self.category is not None and garment.category != self.category:
            return False
        if self.category is None and garment.category not in self.by_category:
            return False
        values = self.values if self.category else self.by_category[garment.category]
        return all(garment[name] in allowed for name, allowed in values.items())

    @property
    def is_possible(self) -> bool:
        """Whether some garment may fit: no attribute is left without a value."""
        possible = bool(self.category or self.by_category)
        return possible and all(self.values.values())


def parse_modification(text: str, reference: Garment | None = None) -> Demand | None:
    """Parse a modification of a reference, or a description.

    Args:
        text: The words.
        reference: The garment that they modify; its attributes stay where the words do not speak
            of them. Without one the words are a description: they have to name a category or say
            nothing but what is not wanted ("no stripes"), and the rest may have any value.

    Returns:
        What the words ask for; None where they have no meaning in this language, or several.
    """
    tokens = _tokens(text)
    if reference is not None:
        lexicons = [words_of_category(reference.category, is_named=False)]
        lexicons.append(comparisons(reference.category, reference))
        if meanings := _Reader(tokens, lexicons).read(named=False):
            return _modified(reference, None, meanings)
    found = []
    for category in CATEGORIES:
        if (reference and category == reference.category) or not named_in(tokens, category):
            continue
        lexicons = [words_of_category(category, is_named=True)]
        if reference is not None:
            lexicons.append(comparisons(category, reference))
        found += [(category, said) for said in _Reader(tokens, lexicons).read(named=True)]
    categories = {category for category, _ in found}
    if not categories and reference is None:
        return _all_but(tokens)
    if len(categories) != 1:
        return None
    category, meanings = categories.pop(), [said for _, said in found]
    return (
        _described(category, meanings)
        if reference is None
        else _modified(reference, category, meanings)
    )


class _Reading(NamedTuple):
    """One way to parse the rest of a text.

    Attributes:
        pieces: The number of phrases.
        named: The number of categories that are named.
        said: The meanings.
    """

    pieces: int
    named: int
    said: frozenset[Meaning]


class _Step(NamedTuple):
    """One phrase of a text.

    Attributes:
        pieces: How much it counts: 0 for a word that only joins.
        end: The index after its last token.
        after: The mode after it.
        meaning: What it means.
    """

    pieces: int
    end: int
    after: str
    meaning: Meaning = _NOTHING


class _Reader:
    """Reads a text in as few pieces as it can be; several readings in equally few all count.

    What may come next depends on the mode:

    - "open": anything, as at the start. "be": adjectives and names, as after "is". "have": things,
      as after "with". "adjective", "thing", "name": after one of these.
    - "no", "without", "removing": what comes is excluded. "denied", "holding", "removed": after it.
    - "listed": after the comma of "without pockets, stripes". "listed_color": after a color in such
      a list, which has to end with "or": the color of "without pockets, blue" is wanted.
    - "either": after "no stripes and", where what follows may be excluded or wanted.
      "and_remove": after "remove the stripes and", where what follows is excluded unless a verb
      comes. "remove_either": after its comma.
    """

    def __init__(self, tokens: Tokens, lexicons: Sequence[Lexicon]) -> None:
        self._tokens = tokens
        self._lexicons = lexicons
        self._known: dict[tuple[int, str], list[_Reading]] = {}

    def read(self, named: bool) -> list[frozenset[Meaning]]:
        """The readings that mean something, and name a category once, or never."""
        found = self._from(0, "open")
        return [reading.said for reading in found if reading.named == named and reading.said]

    def _from(self, start: int, mode: str) -> list[_Reading]:
        """The shortest readings of the rest, by the number of categories that they name."""
        if start == len(self._tokens):
            is_open = mode in _EXCLUDING or mode == "listed_color"
            return [] if is_open else [_Reading(0, 0, frozenset())]
        if (start, mode) not in self._known:
            found = {
                _Reading(
                    rest.pieces + pieces,
                    rest.named + _names_category(meaning),
                    rest.said | ({meaning} if meaning.says_something else frozenset()),
                )
                for pieces, end, after, meaning in self._steps(start, mode)
                for rest in self._from(end, after)
            }
            least: dict[int, int] = {}
            for reading in found:
                least[reading.named] = min(least.get(reading.named, 1000), reading.pieces)
            self._known[start, mode] = [r for r in found if r.pieces == least[r.named]]
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
        if mode == "listed":  # "without pockets, stripes": a list goes on as long as it can
            listed = list(self._carried_on(start, "holding"))
            things = [step for step in listed if not _speaks_of(step.meaning, "colour")]
            if things:
                yield from things
                return
            yield from (step._replace(after="listed_color") for step in listed)
        if mode in ("and_remove", "remove_either"):
            skipped = mode == "and_remove" and self._tokens[start] == "the"
            for step in self._excluded(start + skipped, "removed"):
                if not _speaks_of(step.meaning, "category"):
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
        """Words that only decide how the next ones are meant."""
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
        if token == "but":  # "no stripes but dots", where "same but" goes on as "is" does
            excluded = mode in ("denied", "holding", "removed")
            yield _Step(1, start + 1, "open" if excluded else "be")
        is_filler = token in _BE and not (after and after[0] in _NOT_FILLERS.get(token, ()))
        if is_filler or (token == "in" and mode in ("open", "either", "be", "name")):
            yield _Step(1, start + 1, "be")

    def _excluded(self, start: int, after: str) -> Iterator[_Step]:
        """Phrases that can be excluded."""
        for lexicon in self._lexicons:
            yield from self._matches(start, lexicon.excluded, after)

    def _carried_on(self, start: int, after: str) -> Iterator[_Step]:
        """Phrases that continue a list of exclusions."""
        for lexicon in self._lexicons:
            yield from self._matches(start, lexicon.lacking, after)

    def _matches(
        self, start: int, phrases: Mapping[Tokens, set[Meaning]], after: str
    ) -> Iterator[_Step]:
        for end in range(start + 1, min(start + _LONGEST, len(self._tokens)) + 1):
            for meaning in phrases.get(self._tokens[start:end], ()):
                yield _Step(1, end, after, meaning)

    def _two_colors(self, start: int, lexicon: Lexicon) -> Iterator[_Step]:
        """`navy and white striped`: the second color is the pattern's."""
        pattern_words = self._lexicons[0].pattern_words
        for color in self._matches(start, lexicon.colors, ""):
            if self._tokens[color.end : color.end + 1] == ("and",):
                for pattern in self._matches(color.end + 1, pattern_words, ""):
                    both = Meaning(color.meaning.allowed | pattern.meaning.allowed)
                    yield _Step(1, pattern.end, "adjective", both)


def _speaks_of(meaning: Meaning, attribute: str) -> bool:
    """Whether a phrase speaks of an attribute, or of the category."""
    return any(name == attribute for name, _ in meaning.allowed)


def _names_category(meaning: Meaning) -> bool:
    """Whether a phrase is the name of the category that is asked for."""
    return not meaning.excludes and _speaks_of(meaning, "category")


def _tokens(text: str) -> Tokens:
    """Words and commas, every article as "a"; none where there is anything else."""
    plain = _STOPS.sub(",", spell_out_minus(text.lower()))
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
    """The demand on which all readings of a modification agree."""
    return _only([_changed(reference, category, reading) for reading in readings])


def _changed(reference: Garment, category: str | None, reading: frozenset[Meaning]) -> Demand:
    """One reading of a modification, together with its reference."""
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
    """The demand on which all readings of a description of one category agree."""
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
    """The demand of a description that only excludes: "no stripes", "not a hat".

    A category without the attribute does not have the excluded value.
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
    """Phrases that can be excluded of other categories, and mean nothing for this one."""
    own = words_of_category(category, is_named=False).excluded
    says_nothing = {Meaning(excludes=True)}
    phrases: Phrases = dict.fromkeys(excludable_anywhere() - own.keys(), says_nothing)
    return Lexicon(excluded=phrases)


def _attributes(meaning: Meaning) -> dict[str, frozenset[str]]:
    """The allowed values of the attributes that a phrase mentions."""
    return {name: allowed for name, allowed in meaning.allowed if name != "category"}


def _categories(reading: frozenset[Meaning]) -> frozenset[str]:
    """The categories that are not excluded."""
    left = frozenset(CATEGORIES)
    for meaning in reading:
        if meaning.excludes:
            for name, allowed in meaning.allowed:
                left = left & allowed if name == "category" else left
    return left


def _only(demands: Sequence[Demand]) -> Demand | None:
    """The demand if all readings agree and no attribute is left without a value; else None."""
    first = demands[0]
    return first if all(demand == first for demand in demands) and first.is_possible else None
