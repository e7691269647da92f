"""The catalogue's language read back: which garments somebody asks for with these words.

Only what the catalogue itself may say is read, and only where it has one meaning; all else is not
understood, so that what is can be taken for the truth. How the pieces of a wish are put together is
said in `wishes`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dwc.catalogue.language.lexicon import (
    Lexicon,
    Meaning,
    Tokens,
    comparisons,
    named_in,
    words_of_category,
)
from dwc.catalogue.language.modifications import Modification, constraints, settle
from dwc.catalogue.schema import CATEGORIES, Garment

_NOTHING: Meaning = frozenset()
_TOKEN = re.compile(r"[a-z]+(?:['-][a-z]+)*|,")
_STOPS = re.compile(r"[.;:!?]+")
_LONGEST = 7  # words of a phrase

# Words that ask for nothing by themselves, by what may follow them.
_HAVE = frozenset({"has", "have", "with"})
_BE = frozenset({
    "is", "are", "be", "make", "it", "them", "they", "this", "these", "the", "i", "i'd", "want",
    "like", "but", "just", "exactly", "only", "same", "similar", "style", "looks", "look", "should",
    "could", "needs", "need", "to", "as", "instead", "show", "me", "of", "pair", "please",
})  # fmt: skip
_DENIERS = frozenset({"no", "not"})  # of the next thing alone; "without" holds on


@dataclass(frozen=True)
class Demand:
    """What is asked for: a category, and the values that some of its attributes may have."""

    category: str
    values: Mapping[str, frozenset[str]]

    def fits(self, garment: Garment) -> bool:
        """Whether a garment is what was asked for."""
        return garment.category == self.category and all(
            garment[name] in allowed for name, allowed in self.values.items()
        )


def parse_modification(text: str, reference: Garment | None = None) -> Demand | None:
    """What words ask for, of somebody who sees `reference`, or nothing; None if not understood.

    With a reference they are a wish, and what they leave out stays as it is there. Without one they
    are a description, which has to name a category, and what they leave out may be anything.
    """
    tokens = _tokens(text)
    if reference is not None:
        lexicons = [words_of_category(reference.category, is_named=False)]
        lexicons.append(comparisons(reference.category, reference))
        if meanings := _Reader(tokens, lexicons).read(named=False):
            return _wished(reference, None, meanings)
    found = []
    for category in CATEGORIES:
        if (reference and category == reference.category) or not named_in(tokens, category):
            continue
        lexicons = [words_of_category(category, is_named=True)]
        if reference is not None:
            lexicons.append(comparisons(category, reference))
        found += [(category, said) for said in _Reader(tokens, lexicons).read(named=True)]
    categories = {category for category, _ in found}
    if len(categories) != 1:
        return None
    category, meanings = categories.pop(), [said for _, said in found]
    return (
        _described(category, meanings)
        if reference is None
        else _wished(reference, category, meanings)
    )


class _Reading(NamedTuple):
    """A way to read the rest of a text: in how many pieces, how many categories it names, what."""

    pieces: int
    named: int
    said: frozenset[Meaning]


_Step = tuple[int, int, str, Meaning]
"""One piece: how much it counts, where it ends, the mode after it, and what it says."""


class _Reader:
    """Reads a text in as few pieces as it can be; several readings in equally few all count.

    What may come next depends on the mode. "open": anything, as at the start. "be": adjectives and
    names, as after "is". "have": things, as after "with". "adjective", "thing", "name": after one
    of these. "no", "without": what comes is denied. "denied", "holding": after it; the latter where
    "without" may hold on, and "listed" after its comma. "either": after "no stripes and", where
    what follows may belong to the denial or not.
    """

    def __init__(self, tokens: Tokens, lexicons: Sequence[Lexicon]) -> None:
        self._tokens = tokens
        self._lexicons = lexicons
        self._known: dict[tuple[int, str], list[_Reading]] = {}

    def read(self, named: bool) -> list[frozenset[Meaning]]:
        """The different readings that say something, and name a category once, or never."""
        found = self._from(0, "open")
        return [reading.said for reading in found if reading.named == named and reading.said]

    def _from(self, start: int, mode: str) -> list[_Reading]:
        """The shortest readings of the rest, by how often they name a category."""
        if start == len(self._tokens):
            return [] if mode in ("no", "without") else [_Reading(0, 0, frozenset())]
        if (start, mode) not in self._known:
            found = {
                _Reading(
                    rest.pieces + pieces,
                    rest.named + any(name == "category" for name, _ in meaning),
                    rest.said | ({meaning} if meaning else frozenset()),
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
        if token == "a" or (token == "any" and mode in ("no", "without")):
            yield 0, start + 1, mode, _NOTHING
        elif mode in ("no", "without"):
            yield from self._denials(start, "denied" if mode == "no" else "holding")
        elif token in (",", "and", "or"):
            yield from self._separated(start, mode)
        else:
            yield from self._said(start, mode)

    def _separated(self, start: int, mode: str) -> Iterator[_Step]:
        token = self._tokens[start]
        after = "either" if mode in ("denied", "holding", "listed", "either") else "open"
        if mode == "holding" and token != "and":
            after = "listed" if token == "," else "without"
        elif token == "or":
            return
        yield 0, start + 1, after, _NOTHING

    def _said(self, start: int, mode: str) -> Iterator[_Step]:
        token = self._tokens[start]
        if mode == "listed":  # "without pockets, stripes": a list goes on as long as it can
            denials = list(self._denials(start, "holding"))
            if denials:
                yield from denials
                return
        if token in _DENIERS or token == "without":
            yield 0, start + 1, "without" if token == "without" else "no", _NOTHING
        if token in _HAVE:
            yield 1, start + 1, "have", _NOTHING
        if token in _BE or (token == "in" and mode in ("open", "either", "be", "name")):
            yield 1, start + 1, "be", _NOTHING
        is_open = mode in ("open", "either", "listed")
        for lexicon in self._lexicons:
            if is_open or mode in ("be", "adjective"):
                yield from self._matches(start, lexicon.being, "adjective")
                yield from self._matches(start, lexicon.names, "name")
                yield from self._two_colours(start, lexicon)
            if is_open or mode == "have":
                yield from self._matches(start, lexicon.having, "thing")
            yield from self._matches(start, lexicon.settings, "be")
        if mode == "either":
            yield from self._denials(start, "denied")

    def _denials(self, start: int, after: str) -> Iterator[_Step]:
        for lexicon in self._lexicons:
            yield from self._matches(start, lexicon.lacking, after)

    def _matches(
        self, start: int, phrases: Mapping[Tokens, set[Meaning]], after: str
    ) -> Iterator[_Step]:
        for end in range(start + 1, min(start + _LONGEST, len(self._tokens)) + 1):
            for meaning in phrases.get(self._tokens[start:end], ()):
                yield 1, end, after, meaning

    def _two_colours(self, start: int, lexicon: Lexicon) -> Iterator[_Step]:
        """`navy and white striped`: the second colour is the pattern's."""
        looks = self._lexicons[0].looks
        for _, end, _, colour in self._matches(start, lexicon.colours, ""):
            if self._tokens[end : end + 1] == ("and",):
                for _, last, _, look in self._matches(end + 1, looks, ""):
                    yield 1, last, "adjective", colour | look


def _tokens(text: str) -> Tokens:
    """Words and commas, every article as "a"; none where there is anything else."""
    plain = _STOPS.sub(",", text.lower())
    tokens = tuple(_TOKEN.findall(plain))
    if "".join(tokens) != "".join(plain.split()):
        return ()
    return tuple("a" if token == "an" else token for token in tokens)


def _wished(
    reference: Garment, category: str | None, readings: Sequence[frozenset[Meaning]]
) -> Demand | None:
    demands = []
    for reading in readings:
        sayings = [{n: v for n, v in meaning if n != "category"} for meaning in reading]
        kind = category or reference.category
        allowed, free = settle(reference, kind, sayings)
        wish = Modification((), category, allowed, frozenset(allowed), frozenset(), free)
        demands.append(Demand(kind, constraints(reference, wish)))
    return _only(demands)


def _described(category: str, readings: Sequence[frozenset[Meaning]]) -> Demand | None:
    demands = []
    for reading in readings:
        values: dict[str, frozenset[str]] = {}
        for name, allowed in (said for meaning in reading for said in meaning):
            if name != "category":
                values[name] = values.get(name, allowed) & allowed
        demands.append(Demand(category, values))
    return _only(demands)


def _only(demands: Sequence[Demand]) -> Demand | None:
    """What all readings agree on; None where they do not, or one thing speaks against another."""
    first = demands[0]
    agreed = all(demand == first for demand in demands) and all(first.values.values())
    return first if agreed else None
