"""Relevance of images to a query, decided by the gallery's metadata (a table about its images).

An image is relevant if it has the values that the text asks for, and agrees with the reference in
the columns that the text does not change. Only text columns with few different values are compared.
Columns with numbers, captions or titles are not.

The text of a query is understood only if it consists of these parts:

- values of a column, such as "red";
- usual phrases for a value, such as "with long sleeves";
- exclusions of a value, such as "not a dress";
- words such as "in", which have no meaning of their own.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from dwc.datasets.annotation_files import spelling_key
from dwc.datasets.wardrobe import NAMED_COLORS, NOT_APPLICABLE, is_known_value, list_phrases
from dwc.errors import DWCError
from dwc.gallery.filters import (
    AllOf,
    Filter,
    Mask,
    Membership,
    Missing,
    Not,
    all_of,
    find_matching,
)
from dwc.gallery.metadata import Column, Metadata
from dwc.modeling.text_cleaning import FUNCTION_WORDS, TypedText
from dwc.modeling.text_rephrasing import rephrase_exclusions
from dwc.negation.exclusions import find_exclusions
from dwc.negation.garment_words import KINDS, PARTS, PATTERNS
from dwc.ui.panels.gallery_browser import MAX_FACET_VALUES

_WORD = re.compile(r"[^\W_]+(?:[-'][^\W_]+)*|[,;]")
_SEPARATORS = re.compile(r"[\s_-]+")
_KIND = re.compile(KINDS, re.IGNORECASE)
_ALIKE = [re.compile(names, re.IGNORECASE) for names in (*PATTERNS, *PARTS)]
_PLAIN = re.compile(r"(?:\b(?:in|is)\s+)?\bplain\b", re.IGNORECASE)
_SHORTEST_SINGULAR = 3  # letters
_SECOND_COLOR = ("second", "secondcolour")  # names of columns, as `spelling_key` returns them
# Of the images with values that two columns have in common, the least share that has the same value
# in both if the columns describe the same. In a table of 4,574 photographs it is 0.94 for label and
# category, and 0.78 for the lengths of sleeves and of garments.
_LEAST_AGREEMENT = 0.9

# Words without meaning of their own, beside words that name values. The other function words negate
# or compare, or say that something else is meant.
_IGNORED = FUNCTION_WORDS.difference(
    {"without", "not", "no", "nor", "than", "more", "less", "most", "least", "very", "much", "so"},
    {"too", "rather", "other", "another", "any", "all", "each", "both", "or", "to", "from", "for"},
    {"which", "who", "how", "what", "there", "here"},
) | {"make", "show", ",", ";"}  # fmt: skip

_Key = tuple[str, ...]
"""The words of a phrase, each in a form that all its spellings have in common."""

_Meaning = tuple[Membership, ...]
"""Conditions that hold together: "navy" means that the color is blue and that the shade is dark."""


class UnclearQueryError(DWCError):
    """The metadata do not show which images a query asks for.

    The message is the reason, as a clause: "the words ask for several values of “color”".
    """


class MetadataMatch(NamedTuple):
    """The images that match everything that a query asks for.

    Attributes:
        mask: (n,), whether each of the gallery's n images matches. The entry of the reference is
            False.
        stated: The condition on the metadata that the text states.
        shared: The condition that an image has the same values as the reference in the columns that
            the text does not change; `match_metadata` lists the exceptions.
    """

    mask: Mask
    stated: Filter
    shared: Filter


def match_metadata(
    metadata: Metadata,
    text: str,
    typed: TypedText | None,
    position: int,
    filter: Filter | None = None,
) -> MetadataMatch:
    """Find the images that match a query, by the columns that describe what is in the images.

    A matching image has the values that the text asks for. In the columns that the text does not
    change, it has the same values as the reference. In some of these columns, however, it may have
    any value:

    - in columns in which the reference has no known value;
    - in columns that do not apply to any image with the wanted values: if the text asks for a
      skirt, for example, the value in the column of sleeves is `-`;
    - in columns that have the same meaning as a changed column, such as a shop's label if the text
      changes the category; but not if the text contains the name of the changed column;
    - in the column of shades, if the text changes the color without naming a shade;
    - in the column of second colors, if the text changes the pattern, and either the reference is
      plain or the result may be plain.

    Args:
        metadata: The metadata of the gallery's n images.
        text: The query's text that the model receives.
        typed: The text as typed, with a record of the parts that the model does not receive; None
            if it is unknown.
        position: The index of the reference in the gallery, from 0.
        filter: A condition that the images must also meet; None for no condition.

    Raises:
        UnclearQueryError: The metadata do not show which images the query asks for.
    """
    columns = describing_columns(metadata)
    if not columns:
        raise UnclearQueryError("of this gallery nobody has said what is in its pictures")
    values = {name: str(column.value(position)) for name, column in columns.items()}
    reference = {
        name: value
        for name, value in values.items()
        if is_known_value(value) and not columns[name].is_missing[position]
    }
    stated, changed, named = _Reader(columns, reference).read(text, typed)
    has_stated = find_matching(stated, metadata)
    open_columns = _find_open_columns(columns, reference, changed, has_stated)
    open_columns |= _find_synonyms(columns, reference, changed - named)
    shared = all_of(
        [
            Membership(name, (value,))
            for name, value in reference.items()
            if name not in changed and name not in open_columns
        ]
    )
    if shared is None:
        raise UnclearQueryError(
            "the gallery's table says nothing of this picture that a result could share with it"
        )
    mask = has_stated & find_matching(shared, metadata)
    if filter is not None:
        mask &= find_matching(filter, metadata)
    mask[position] = False
    return MetadataMatch(mask, stated, shared)


def describing_columns(metadata: Metadata) -> dict[str, Column]:
    """Return the columns that describe what is in the images, by name.

    These are the text columns with 2 to `MAX_FACET_VALUES` different values, if each value occurs
    in two or more images on average. So columns with numbers, captions, titles or article numbers
    are left out.
    """
    return {
        name: column
        for name, column in metadata.columns.items()
        if column.type == "text"
        and 2 <= len(column.texts) <= MAX_FACET_VALUES
        and 2 * len(column.texts) <= np.count_nonzero(~column.is_missing)
    }


def _find_open_columns(
    columns: Mapping[str, Column], reference: Mapping[str, str], changed: set[str], mask: Mask
) -> set[str]:
    """Return the names of columns in which results need not agree with the reference.

    These are the columns that do not apply to the wanted images and, in some cases, the shade and
    the second color. `match_metadata` describes the cases. Columns with the same meaning as a
    changed column are not included; `_find_synonyms` finds them.

    Args:
        columns: The columns that describe the images, by name.
        reference: The known values of the reference, by column name.
        changed: The names of the columns that the text changes.
        mask: (n,), whether each of the gallery's n images has the wanted values.
    """
    names = {spelling_key(name): name for name in columns}
    open_columns = set()
    if names.get("colour") in changed and "shade" in names:
        open_columns.add(names["shade"])
    pattern = names.get("pattern")
    if pattern is not None and pattern in changed:
        may_be_plain = (columns[pattern].has_any(["plain"]) & mask).any()
        if may_be_plain or reference.get(pattern) == "plain":
            open_columns |= {names[key] for key in _SECOND_COLOR if key in names}
    for name in reference:
        if mask.any() and not (mask & ~columns[name].has_any([NOT_APPLICABLE])).any():
            open_columns.add(name)
    return open_columns


def _find_synonyms(
    columns: Mapping[str, Column], reference: Mapping[str, str], changed: set[str]
) -> set[str]:
    """Return the names of the columns that have the same meaning as a changed column.

    Results need not agree with the reference in such a column. Example: the reference is a hoodie,
    and the text "a jacket" changes the category. If the column with a shop's label had to agree as
    well, only jackets that the shop has labeled "Hoodie" would match.

    Args:
        columns: The columns that describe the images, by name.
        reference: The known values of the reference, by column name.
        changed: The names of the columns that the text changes.
    """
    return {
        name
        for name in reference
        if any(
            name != other and _describe_the_same(columns[name], columns[other]) for other in changed
        )
    }


def _describe_the_same(first: Column, second: Column) -> bool:
    """Return whether two columns have the same meaning, such as a shop's label and a category.

    Only the values that occur in both columns, perhaps in different spellings, are compared. The
    columns have the same meaning if both conditions are met:

    - For two or more of these values, there is an image that has the value in both columns.
    - Of the images that have one of these values in each column, at least 90 % have the same value
      in both.
    """
    spellings = {key: value for value in _known_values(second) for key in _spellings_of(value)}
    pairs = {
        (value, spellings[key])
        for value in _known_values(first)
        for key in _spellings_of(value)
        if key in spellings
    }
    same = [first.has_any([value]) & second.has_any([twin]) for value, twin in pairs]
    if sum(bool(mask.any()) for mask in same) < 2:
        return False
    values, twins = zip(*pairs, strict=True)
    in_both = first.has_any(values) & second.has_any(twins)
    agreeing = np.count_nonzero(np.logical_or.reduce(same))
    return bool(agreeing >= _LEAST_AGREEMENT * np.count_nonzero(in_both))


def _spellings_of(value: str) -> set[_Key]:
    """Return the spellings of a value in singular and plural, each as a tuple of words.

    Example: "t_shirt" -> ("t", "shirt"), ("t", "shirts"), ("tshirt",) and ("tshirts",).
    """
    return {
        key
        for words in ([spelling_key(value)], _SEPARATORS.split(value))
        for key in _spellings(words)
    }


def _known_values(column: Column) -> list[str]:
    return [text for text in column.texts if is_known_value(text)]


class _Match(NamedTuple):
    """Consecutive words of a text that name a value.

    Attributes:
        first: The index of the first word.
        last: The index after the last word.
        meanings: The possible meanings of the words. A meaning is a tuple of conditions that hold
            together: "navy" means the color blue and the shade dark. There are several meanings if
            several columns have the value; `_Reader._choose` decides which of them count.
        is_column_named: Whether the words contain the name of the column, as in "short sleeves" for
            the value "short" of the column "sleeves".
    """

    first: int
    last: int
    meanings: list[_Meaning]
    is_column_named: bool = False

    @property
    def columns(self) -> set[str]:
        """The names of the columns to which the matched words refer."""
        return {part.column for meaning in self.meanings for part in meaning}


class _Reader:
    """Parser that converts the text of a query to conditions on the columns of the metadata."""

    def __init__(self, columns: Mapping[str, Column], reference: Mapping[str, str]) -> None:
        """Create the parser.

        Args:
            columns: The columns that describe the images, by name.
            reference: The known values of the reference, by column name.
        """
        self._columns, self._reference = columns, reference
        self._values: dict[_Key, dict[str, list[str]]] = {}
        self._phrases: dict[_Key, dict[str, list[str]]] = {}
        self._lacking: dict[str, str] = {}  # phrases that begin with "without" -> values
        for name, column in columns.items():
            for value in _known_values(column):
                for key in {(spelling_key(value),), _key(_SEPARATORS.split(value))}:
                    if all(key):
                        self._values.setdefault(key, {}).setdefault(name, []).append(value)
                for text in list_phrases(name, value):
                    key = _key(text.split())
                    self._phrases.setdefault(key, {}).setdefault(name, []).append(value)
                    if text.startswith("without "):
                        self._lacking[text] = value
        self._named_colors = self._find_named_colors()
        keys = (*self._values, *self._phrases, *self._named_colors)
        self._longest = max(map(len, keys), default=0)

    def _find_named_colors(self) -> dict[_Key, _Meaning]:
        """Return the names that mean both a color and a shade, such as "navy" for dark blue.

        The result maps each name, as a tuple of words, to the conditions on color and shade. It is
        empty if the metadata have no columns for color and shade.
        """
        names = {spelling_key(name): name for name in self._columns}
        if not {"colour", "shade"} <= names.keys():
            return {}
        color, shade = names["colour"], names["shade"]
        return {
            _key(text.split()): (Membership(color, (pair[0],)), Membership(shade, (pair[1],)))
            for pair, texts in NAMED_COLORS.items()
            for text in texts
            if pair[0] in self._columns[color].texts and pair[1] in self._columns[shade].texts
        }

    def read(self, text: str, typed: TypedText | None) -> tuple[Filter, set[str], set[str]]:
        """Return the condition that a text states, and the columns that it changes and names.

        Args:
            text: The query's text that the model receives.
            typed: The text as typed, with a record of the parts that the model does not receive;
                None if it is unknown.

        Returns:
            Three values: the condition; the names of the columns that the text changes; and the
            names of the columns whose names are in the text, such as "sleeves". A column is changed
            if the text asks for one of its values, or excludes the value of the reference.

        Raises:
            UnclearQueryError: The columns do not show what the text asks for.
        """
        if typed is not None and typed.cut:
            raise UnclearQueryError("only the beginning of the words was read")
        text, excluded = self._split_exclusions(text, typed)
        words = _WORD.findall(text.lower())
        matches = list(self._find(words))
        wanted = self._wanted(words, matches)
        unwanted, together = self._unwanted(excluded)
        changed = set(wanted)
        conditions: list[Filter] = []
        for name, values in wanted.items():
            allowed = tuple(value for value in values if value not in unwanted.get(name, ()))
            if not allowed:
                raise UnclearQueryError(f"the words exclude the {name} that they ask for")
            conditions.append(Membership(name, allowed))
        for name, values in unwanted.items():
            if name not in wanted:
                conditions += self._all_but(name, values)
                if self._reference.get(name) in values:
                    changed.add(name)
        for meaning in together:
            conditions.append(Not(AllOf(meaning)))
            for part in meaning:
                if part.column not in wanted:
                    conditions += self._all_but(part.column, ())
            if all(self._reference.get(part.column) in part.values for part in meaning):
                changed.update(part.column for part in meaning)
        stated = all_of(conditions)
        if stated is None:
            raise UnclearQueryError("these words name no value of the gallery's table")
        named = {name for match in matches if match.is_column_named for name in match.columns}
        return stated, changed, named

    def _all_but(self, name: str, values: Sequence[str]) -> list[Filter]:
        """Return conditions that exclude images with an unknown or a given value in a column.

        An image must meet all of the conditions.

        Args:
            name: The name of the column.
            values: The values that are not allowed; may be empty.
        """
        column = self._columns[name]
        unknown = [text for text in column.texts if not is_known_value(text)]
        conditions: list[Filter] = []
        if values or unknown:
            conditions.append(Not(Membership(name, (*values, *unknown))))
        if column.is_missing.any():
            conditions.append(Not(Missing(name)))
        return conditions

    def _split_exclusions(self, text: str, typed: TypedText | None) -> tuple[str, list[str]]:
        """Return a text without its exclusions, and the names of what it excludes.

        Example: "a dress without a hood" -> "a dress " and ["hood"].

        Args:
            text: The query's text that the model receives.
            typed: The text as typed, with the exclusions that the model does not receive; None if
                it is unknown.
        """
        former = text if typed is None else typed.typed
        excluded = [] if typed is None else list(typed.excluded)
        for phrase, value in self._lacking.items():
            text = re.sub(rf"(?<![\w'-]){phrase}(?![\w'-])", value, text, flags=re.IGNORECASE)
        text, _, patterns = rephrase_exclusions(text)
        excluded += patterns
        if excluded and not _PLAIN.search(former):
            text = _PLAIN.sub(" ", text)  # the model reads "no stripes" as "in plain"
        exclusions, text = find_exclusions(text)
        return text, [*excluded, *(exclusion.name for exclusion in exclusions)]

    def _unwanted(self, names: Sequence[str]) -> tuple[dict[str, list[str]], list[_Meaning]]:
        """Convert the names of excluded things, such as "stripes", to values of columns.

        Args:
            names: The names of colors, kinds of garments, patterns or parts, such as "dark blue".

        Returns:
            Two values. The first has the excluded values by column name. The second is for names
            that consist of several values: a list with one group of conditions for each such name.
            An image must violate at least one condition of each group. For example, "not dark blue"
            gives a group with the conditions "dark" and "blue": an image may be dark or blue, but
            not both.

        Raises:
            UnclearQueryError: The columns have no value for one of the names.
        """
        unwanted: dict[str, list[str]] = {}
        together: list[_Meaning] = []
        for name in names:
            words = _WORD.findall(name)
            matches = list(self._find(words))
            if sum(match.last - match.first for match in matches) < len(words):
                raise _unresolved([name])
            parts = [part for m in matches for meaning in m.meanings for part in meaning]
            if len(matches) == 1 and all(len(meaning) == 1 for meaning in matches[0].meanings):
                for part in parts:
                    unwanted.setdefault(part.column, []).extend(map(str, part.values))
            else:
                together.append(tuple(parts))
        return unwanted, together

    def _wanted(self, words: Sequence[str], matches: Sequence[_Match]) -> dict[str, list[str]]:
        """Return the values that a text asks for, by column name.

        Args:
            words: The words of the text.
            matches: The parts of the text that name values, in order.

        Raises:
            UnclearQueryError: The columns have no value for a word, or the text does not say which
                of several values is wanted.
        """
        covered = {n for match in matches for n in range(match.first, match.last)}
        others = [word for n, word in enumerate(words) if n not in covered]
        if unresolved := [word for word in others if word != "or" and word not in _IGNORED]:
            raise _unresolved(unresolved)
        wanted: dict[str, list[str]] = {}
        for match in matches:
            for meaning in match.meanings:
                for part in meaning:
                    former = wanted.setdefault(part.column, [])
                    former += [str(value) for value in part.values if value not in former]
        choices = _count_choices(words, matches, wanted)
        if others.count("or") > choices:
            raise UnclearQueryError("the words leave open what is wanted, with “or”")
        return wanted

    def _find(self, words: Sequence[str]) -> Iterator[_Match]:
        """Yield the parts of a text that name values, in order.

        The parts do not overlap. If several such parts begin at the same word, the longest is
        yielded.
        """
        start = 0
        while start < len(words):
            match = self._match(words, start)
            if match is not None:
                yield match
            start = start + 1 if match is None else match.last

    def _match(self, words: Sequence[str], first: int) -> _Match | None:
        for last in range(min(first + self._longest, len(words)), first, -1):
            for key in _spellings(words[first:last]):
                phrases, values = self._phrases.get(key, {}), self._values.get(key, {})
                if phrases or values:
                    return self._choose(words, first, last, phrases, values)
                if key in self._named_colors:
                    return _Match(first, last, [self._named_colors[key]])
        return None

    def _choose(
        self,
        words: Sequence[str],
        first: int,
        last: int,
        phrases: Mapping[str, Sequence[str]],
        values: Mapping[str, Sequence[str]],
    ) -> _Match:
        """Choose the columns to which the name of a value refers, and return the words as a match.

        Several columns may have the same value. The first of these rules that applies to any column
        decides which columns are chosen:

        1. The column's name follows the words. In "short sleeves", for example, "short" is a value
           of the column "sleeves".
        2. The words are a usual phrase for a value of the column. For example, "red" is a usual
           phrase for a value of the column of colors, but not of the column of second colors.
        3. The words are a value of the column.

        If the rule applies to several columns, those in which the reference has a known value are
        preferred. If several columns remain, all of them are chosen, provided that more than half
        of the images with the value in at least one of them have it in all of them.

        Args:
            words: The words of the text.
            first: The index of the first word that names the value.
            last: The index after the last of these words.
            phrases: For each column, the values for which the words are a phrase.
            values: For each column, the values that consist of these words.

        Raises:
            UnclearQueryError: Several columns remain, and too few images have the value in all.
        """
        everywhere = {**values, **phrases}
        ends = {name: self._name_beside(name, words, last) for name in everywhere}
        named = {name: everywhere[name] for name, end in ends.items() if end > last}
        chosen = named or phrases or values
        if len(chosen) > 1:
            known = {name: chosen[name] for name in chosen if name in self._reference}
            chosen = known or chosen
        meanings: list[_Meaning] = [(Membership(name, tuple(chosen[name])),) for name in chosen]
        if len(chosen) > 1 and not self._say_the_same(meanings):
            columns = " and ".join(f"“{name}”" for name in chosen)
            raise UnclearQueryError(
                f"“{' '.join(words[first:last])}” is a value of the columns {columns}, and the "
                "words do not tell which"
            )
        return _Match(first, max(ends[name] for name in chosen), meanings, bool(named))

    def _name_beside(self, name: str, words: Sequence[str], last: int) -> int:
        """Return the index after the name of a column, if the name follows a value in a text.

        Args:
            name: The name of the column.
            words: The words of the text.
            last: The index after the value, where the column's name may begin.

        Returns:
            The index after the column's name; `last` if the name does not follow.
        """
        key = _key(_SEPARATORS.split(name))
        end = last + len(key)
        return end if key in _spellings(words[last:end]) else last

    def _say_the_same(self, meanings: Sequence[_Meaning]) -> bool:
        """Return whether several columns mostly agree on which images have a value.

        They agree if more than half of the images with the value in at least one of these columns
        have it in all of them.

        Args:
            meanings: For each of the columns, the condition that the column has the value.
        """
        masks = [self._columns[part.column].has_any(part.values) for (part,) in meanings]
        in_all, in_any = np.logical_and.reduce(masks), np.logical_or.reduce(masks)
        return bool(2 * np.count_nonzero(in_all) > np.count_nonzero(in_any))


def _count_choices(
    words: Sequence[str], matches: Sequence[_Match], wanted: Mapping[str, Sequence[str]]
) -> int:
    """Return how many times the word "or" joins values of the same column in a text.

    For example, the result is 1 for "red or blue with short sleeves".

    Args:
        words: The words of the text.
        matches: The parts of the text that name values, in order.
        wanted: The values that the text asks for, by column name.

    Raises:
        UnclearQueryError: The text joins several values of a column in another way, such as with
            "and".
    """
    groups: dict[frozenset[str], list[_Match]] = {}
    for match in matches:
        groups.setdefault(frozenset(match.columns), []).append(match)
    count = 0
    for columns, group in groups.items():
        is_shared = any(columns & others for others in groups if others != columns)
        if is_shared and any(len(wanted[name]) > 1 for name in columns):
            raise _several_values(columns)
        if all(match.meanings == group[0].meanings for match in group):
            continue
        first, last = group[0].last, group[-1].first
        between = words[first:last]
        inside = [match for match in matches if group[0].first <= match.first <= last]
        if "or" not in between or "and" in between or len(inside) > len(group):
            raise _several_values(columns)
        count += between.count("or")
    return count


def _several_values(columns: Iterable[str]) -> UnclearQueryError:
    names = " and ".join(f"“{name}”" for name in sorted(columns))
    return UnclearQueryError(f"the words ask for several values of {names}")


def _unresolved(words: Sequence[str]) -> UnclearQueryError:
    quoted = ", ".join(f"“{word}”" for word in dict.fromkeys(words))
    return UnclearQueryError(f"the gallery's table has no value for these words: {quoted}")


def _key(words: Sequence[str]) -> _Key:
    return tuple(map(_unify, words))


def _unify(word: str) -> str:
    """Return a form of a word that is the same for all spellings of the word.

    For example, "gray" and "grey" have the same form. Different words for the same pattern or part,
    such as "striped" and "stripes", also have the same form.
    """
    for alike in _ALIKE:
        if alike.fullmatch(word):
            return alike.pattern
    return spelling_key(word)


def _spellings(words: Sequence[str]) -> Iterator[_Key]:
    """Yield the forms in which a phrase is looked up, each as a tuple of words.

    The first is the phrase itself. The others have the last word in singular or plural.
    """
    if not words:
        return
    *others, word = words
    start = _key(others)
    yield (*start, _unify(word))
    for other in (word.removesuffix("s"), word.removesuffix("es"), f"{word}s"):
        # "shorts" are no plural of "short".
        is_kind = _KIND.fullmatch(word) is not None
        if len(other) >= _SHORTEST_SINGULAR and is_kind == (_KIND.fullmatch(other) is not None):
            yield (*start, _unify(other))
