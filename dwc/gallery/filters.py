"""Filters: conditions on the metadata of a gallery's pictures, such as `category = dress`.

A filter is written as one or more conditions, joined by `and`, `or`, `not` and parentheses:

    colour = red                     colour != red                  price < 50    (also <= > >=)
    category in (dress, skirt)       category not in (dress)        note is missing
    category = polo shirt and (price < 50 or not new = true)

The name of a column, or a text, is written in quotation marks if it contains one of the characters
`"(),=<>` or a word such as `and`. Texts are compared without regard to upper and lower case. A
picture without a value in the column does not fit a condition with `=`, `in`, `<`, `<=`, `>` or
`>=`. Such a picture fits `!=`, `not in` and `not`, since these negate the condition.
"""

import difflib
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dwc.datasets.annotation_files import is_number
from dwc.errors import QueryError, list_names
from dwc.gallery.metadata import Column, Metadata, Value, fold_column, format_value

MAX_CHARACTERS = 20_000
"""The greatest length of a filter's text, in characters."""

MAX_DEPTH = 40
"""The deepest nesting of parentheses and negations in a filter."""

Order = Literal["<", "<=", ">", ">="]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Membership:
    """The condition that a picture has one of the given values in a column.

    Attributes:
        column: The name of the column.
        values: One or more values of the column's type.
    """

    column: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Comparison:
    """The condition that a picture's number is below or above a limit.

    Attributes:
        column: The name of a column of numbers.
        operator: "<", "<=", ">" or ">=".
        limit: The number on the right of the operator.
    """

    column: str
    operator: Order
    limit: float


@dataclass(frozen=True)
class Missing:
    """The condition that a picture has no value in a column."""

    column: str


@dataclass(frozen=True)
class Not:
    """The condition that another condition is not met."""

    part: "Filter"


@dataclass(frozen=True)
class AllOf:
    """The condition that all of several conditions are met."""

    parts: tuple["Filter", ...]


@dataclass(frozen=True)
class AnyOf:
    """The condition that at least one of several conditions is met."""

    parts: tuple["Filter", ...]


Filter = Membership | Comparison | Missing | Not | AllOf | AnyOf


def parse_filter(text: str, metadata: Metadata) -> Filter | None:
    """Parse the text of a filter, and check its columns and values against a gallery's metadata.

    Args:
        text: The filter, such as `category = dress and price < 50`; the module's docstring
            describes the syntax.
        metadata: The metadata of the gallery, which determines the types of the values.

    Returns:
        The filter; None if the text is blank.

    Raises:
        QueryError: The text is not a valid filter, a column does not exist, or a value does not
            have the type of its column.
    """
    if not text.strip():
        return None
    if len(text) > MAX_CHARACTERS:
        raise QueryError(
            f"the filter has {len(text):,} characters; at most {MAX_CHARACTERS:,} are read."
        )
    if not metadata.columns:
        raise QueryError(
            f"the filter {_shorten(text)!r} needs metadata, and this gallery has none. Put a "
            "metadata.csv beside the pictures, and index them again."
        )
    return _Parser(text, metadata).parse()


def join_filters(texts: Iterable[str]) -> str:
    """Join the texts of several filters to one text with `and`; omit blank texts."""
    filters = [text for text in texts if text.strip()]
    return filters[0] if len(filters) == 1 else " and ".join(f"({text})" for text in filters)


def format_filter(filter: Filter | None) -> str:
    """Return the text of a filter; the text is empty for None.

    `parse_filter` parses this text to an equal filter.
    """
    if filter is None:
        return ""
    if isinstance(filter, AllOf | AnyOf):
        word = " and " if isinstance(filter, AllOf) else " or "
        return word.join(
            f"({format_filter(part)})" if isinstance(part, AllOf | AnyOf) else format_filter(part)
            for part in filter.parts
        )
    if isinstance(filter, Not):
        if isinstance(filter.part, Membership):
            return _format_membership(filter.part, "!=", "not in")
        if isinstance(filter.part, Missing):
            return f"{_quote(filter.part.column)} is not missing"
        return f"not ({format_filter(filter.part)})"
    if isinstance(filter, Membership):
        return _format_membership(filter, "=", "in")
    if isinstance(filter, Missing):
        return f"{_quote(filter.column)} is missing"
    return f"{_quote(filter.column)} {filter.operator} {_format_value(filter.limit)}"


def _format_membership(condition: Membership, equals: str, is_in: str) -> str:
    values = [_quote(_format_value(value)) for value in condition.values]
    column = _quote(condition.column)
    if len(values) == 1:
        return f"{column} {equals} {values[0]}"
    return f"{column} {is_in} ({', '.join(values)})"


# A number whose point may be a decimal point or may separate thousands.
_AMBIGUOUS_NUMBER = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}")


def _format_value(value: Value) -> str:
    """Return a value as text that `parse_filter` can read without ambiguity.

    A zero is added to a number whose point could be read as a thousands separator: 1.125 becomes
    "1.1250", since "1.125" could also mean 1125.
    """
    text = format_value(value)
    is_ambiguous = isinstance(value, float) and _AMBIGUOUS_NUMBER.fullmatch(text)
    return f"{text}0" if is_ambiguous else text


_PLAIN = re.compile(r"[\w.+%/:#-]+(?: [\w.+%/:#-]+)*")
_KEYWORDS = frozenset({"and", "or", "not", "in", "is"})


def _quote(text: str) -> str:
    if _PLAIN.fullmatch(text) and not _KEYWORDS.intersection(text.lower().split()):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def find_matching(filter: Filter, metadata: Metadata) -> Mask:
    """Return a Boolean mask (n,): whether each of the n pictures fits a filter.

    Raises:
        QueryError: The metadata lacks a column of the filter, or a comparison such as `<` is used
            with a column that does not have numbers.
    """
    if isinstance(filter, AllOf | AnyOf):
        combine = np.logical_and if isinstance(filter, AllOf) else np.logical_or
        masks = [find_matching(part, metadata) for part in filter.parts]
        return combine.reduce(masks)
    if isinstance(filter, Not):
        return ~find_matching(filter.part, metadata)
    column = metadata.columns.get(filter.column)
    if column is None:
        raise _unknown_column(filter.column, metadata)
    if isinstance(filter, Missing):
        return column.is_missing
    if isinstance(filter, Comparison):
        compare = _COMPARE[filter.operator]
        if column.type != "number":
            raise _not_comparable(filter.column, column, filter.operator)
        return compare(column.values, filter.limit)
    return column.has_any(filter.values)


_COMPARE: dict[str, Callable[[NDArray[np.float64], float], Mask]] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}  # comparisons with NaN, which stands for a missing number, are false


def unmatched_notes(filter: Filter, metadata: Metadata) -> list[str]:
    """Return a message for each text in a filter that no picture has in the filtered column.

    If the column has a similar text, the message suggests that text.
    """
    notes = []
    for condition in _conditions(filter):
        column = metadata.columns.get(condition.column)
        if not isinstance(condition, Membership) or column is None or column.type != "text":
            continue
        for value in condition.values:
            if not column.has_any((value,)).any():
                near = difflib.get_close_matches(str(value), column.texts[:2000], 1)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                notes.append(f"No picture has {condition.column} = {value!r}.{hint}")
    return notes


def _conditions(filter: Filter) -> Iterator[Membership | Comparison | Missing]:
    if isinstance(filter, AllOf | AnyOf):
        for part in filter.parts:
            yield from _conditions(part)
    elif isinstance(filter, Not):
        yield from _conditions(filter.part)
    else:
        yield filter


def parts_by_column(filter: Filter | None) -> tuple[dict[str, list[Filter]], list[Filter]]:
    """Split a filter at its outermost `and`, and group the parts by their columns.

    For example, `a = 1 and (b = 2 or c = 3)` has the parts `a = 1` and `b = 2 or c = 3`. A filter
    without such an `and` is a single part.

    Returns:
        The parts that refer to a single column, by the column's name; and the parts that refer to
        several columns.
    """
    if filter is None:
        return {}, []
    by_column: dict[str, list[Filter]] = {}
    others: list[Filter] = []
    for part in filter.parts if isinstance(filter, AllOf) else (filter,):
        columns = {condition.column for condition in _conditions(part)}
        if len(columns) == 1:
            by_column.setdefault(columns.pop(), []).append(part)
        else:
            others.append(part)
    return by_column, others


def all_of(parts: Sequence[Filter]) -> Filter | None:
    """Return a filter that is met if all given filters are met; None if no filter is given."""
    flat: list[Filter] = []
    for part in parts:
        flat += part.parts if isinstance(part, AllOf) else (part,)
    return AllOf(tuple(flat)) if len(flat) > 1 else flat[0] if flat else None


class _Token(NamedTuple):
    """A token of a filter's text.

    Attributes:
        kind: "word", "quoted", "operator", "(", ")", ",", or "end".
        text: The word, the quoted text without quotation marks, or the operator.
    """

    kind: str
    text: str

    def is_word(self, *words: str) -> bool:
        return self.kind == "word" and self.text.lower() in words


_TOKEN = re.compile(
    r"""\s*(?:
      "(?P<quoted>(?:[^"\\]|\\.)*)"
    | '(?P<single>(?:[^'\\]|\\.)*)'
    | “(?P<curly>[^”]*)”
    | (?P<operator>!=|<>|<=|>=|==|[=<>≠≤≥])
    | (?P<sign>[(),])
    | (?P<word>(?:[^\s"“(),=<>≠≤≥!]|!(?!=))+)
    )""",
    re.VERBOSE | re.DOTALL,
)
_SPELLINGS = {"==": "=", "<>": "!=", "≠": "!=", "≤": "<=", "≥": ">="}


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        if match is None:
            rest = _shorten(text[position:].strip())
            raise QueryError(
                f"the filter cannot be read at {rest!r}. A quotation mark may not be closed."
            )
        position = match.end()
        kind, value = next((k, v) for k, v in match.groupdict().items() if v is not None)
        if kind == "operator":
            yield _Token(kind, _SPELLINGS.get(value, value))
        elif kind in ("quoted", "single"):
            yield _Token("quoted", re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL))
        elif kind == "curly":
            yield _Token("quoted", value)
        else:
            yield _Token(value if kind == "sign" else kind, value)


class _Parser:
    """Recursive-descent parser of one filter."""

    def __init__(self, text: str, metadata: Metadata) -> None:
        self._tokens = [*_tokens(text), _Token("end", "")]
        self._index = 0
        self._depth = 0
        self._metadata = metadata

    def parse(self) -> Filter:
        filter = self._parse_any()
        if self._next.kind != "end":
            raise QueryError(
                f"in the filter, {_name(self._next)} follows {_name(self._tokens[self._index - 1])}"
                "; expected: and, or, or the end. Put a text of several parts in quotation marks."
            )
        return filter

    @property
    def _next(self) -> _Token:
        return self._tokens[self._index]

    def _take(self) -> _Token:
        token = self._next
        if token.kind != "end":
            self._index += 1
        return token

    def _skip_word(self, *words: str) -> bool:
        if self._next.is_word(*words):
            self._index += 1
            return True
        return False

    def _parse_any(self) -> Filter:
        parts = [self._parse_all()]
        while self._skip_word("or"):
            parts.append(self._parse_all())
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _parse_all(self) -> Filter:
        parts = [self._parse_part()]
        while self._skip_word("and"):
            parts.append(self._parse_part())
        joined = all_of(parts)
        assert joined is not None
        return joined

    def _parse_part(self) -> Filter:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise QueryError(f"the filter is nested more than {MAX_DEPTH} deep. Simplify it.")
        try:
            if self._skip_word("not"):
                return _negate(self._parse_part())
            if self._next.kind == "(":
                self._take()
                inner = self._parse_any()
                self._expect(")", "a closing parenthesis")
                return inner
            return self._parse_condition()
        finally:
            self._depth -= 1

    def _parse_condition(self) -> Filter:
        name, column = self._parse_column()
        token = self._take()
        if token.kind == "operator":
            return self._compare(name, column, token.text)
        if token.is_word("is"):
            is_negated = self._skip_word("not")
            if not self._skip_word("missing"):
                raise QueryError(
                    f"in the filter, {_name(self._next)} follows 'is'; expected: missing, or not "
                    f"missing. To compare, write {_quote(name)} = VALUE."
                )
            return Not(Missing(name)) if is_negated else Missing(name)
        is_negated = token.is_word("not")
        if is_negated:
            token = self._take()
        assert token.is_word("in")
        self._expect("(", f"a list in parentheses, as in {_quote(name)} in (a, b)")
        values = [self._parse_value(name, column)]
        while self._next.kind == ",":
            self._take()
            values.append(self._parse_value(name, column))
        self._expect(")", "a comma or a closing parenthesis")
        condition = Membership(name, tuple(dict.fromkeys(values)))
        return Not(condition) if is_negated else condition

    def _compare(self, name: str, column: Column, operator: str) -> Filter:
        if operator in ("=", "!="):
            condition = Membership(name, (self._parse_value(name, column),))
            return Not(condition) if operator == "!=" else condition
        if column.type != "number":
            raise _not_comparable(name, column, operator)
        limit = self._parse_value(name, column)
        assert isinstance(limit, float)
        return Comparison(name, operator, limit)  # type: ignore[arg-type]

    def _parse_column(self) -> tuple[str, Column]:
        """Parse the name of a column; return the name and the column.

        The name ends before an operator, `in`, `not in` or `is`.
        """
        words: list[str] = []
        while self._next.kind in ("word", "quoted"):
            follows = self._tokens[self._index + 1]
            is_end = self._next.is_word("in", "is")
            is_end |= self._next.is_word("not") and follows.is_word("in")
            if words and is_end:
                break
            words.append(self._take().text)
        written = " ".join(words)
        if not words:
            raise QueryError(
                f"the filter has {_name(self._next)} where a column was expected. The columns "
                f"are: {_list_columns(self._metadata)}."
            )
        name = _find_column(written, self._metadata)
        is_operator = self._next.kind == "operator" or self._next.kind == "word"
        if not is_operator:
            if name is None:
                before = self._tokens[max(0, self._index - len(words) - 1)]
                joined = before.is_word("and", "or", "not", "in", "is")
                hint = (
                    ' Put a text with such a word in it in quotation marks: "…".' if joined else ""
                )
                raise QueryError(
                    f"in the filter, {written!r} is no condition; expected a column, an operator "
                    f"and a value, such as {_example(self._metadata)}.{hint}"
                )
            raise QueryError(
                f"in the filter, {_name(self._next)} follows {written!r}; expected one of = != < "
                "<= > >=, in, not in, is missing."
            )
        if name is None:
            raise _unknown_column(written, self._metadata)
        return name, self._metadata.columns[name]

    def _parse_value(self, name: str, column: Column) -> Value:
        if self._next.kind == "quoted":
            return self._typed(self._take().text, name, column)
        words: list[str] = []
        while self._next.kind == "word" and not (words and self._next.is_word("and", "or")):
            words.append(self._take().text)
        if not words:
            raise QueryError(
                f"in the filter, {_name(self._next)} stands where a value of {name!r} was expected."
            )
        return self._typed(" ".join(words), name, column)

    def _typed(self, text: str, name: str, column: Column) -> Value:
        if name in self._metadata.decimal_commas and _AMBIGUOUS_NUMBER.fullmatch(text):
            thousands = _format_value(float(text.replace(".", "")))
            decimal = _format_value(float(text))
            raise QueryError(
                f"the filter compares {name!r} with {text!r}. The table has points between "
                f"thousands, so it may be {thousands} or {decimal}; write one of these."
            )
        return _typed(text, name, column)

    def _expect(self, kind: str, description: str) -> None:
        if self._next.kind != kind:
            raise QueryError(f"the filter has {_name(self._next)}; expected {description}.")
        self._take()


def _negate(filter: Filter) -> Filter:
    return filter.part if isinstance(filter, Not) else Not(filter)


def _name(token: _Token) -> str:
    return "its end" if token.kind == "end" else repr(_shorten(token.text))


def _shorten(text: str) -> str:
    return text if len(text) <= 60 else text[:60] + "…"


def _find_column(written: str, metadata: Metadata) -> str | None:
    if written in metadata.columns:
        return written
    matches = [name for name in metadata.columns if fold_column(name) == fold_column(written)]
    return matches[0] if len(matches) == 1 else None


def _list_columns(metadata: Metadata) -> str:
    return list_names(metadata.columns)


def _example(metadata: Metadata) -> str:
    name, column = next(iter(metadata.columns.items()))
    if column.type == "number":
        return f"{_quote(name)} < 50"
    value = column.texts[0] if column.texts else "true"
    return f"{_quote(name)} = {_quote(value)}"


def _unknown_column(name: str, metadata: Metadata) -> QueryError:
    by_folded = {fold_column(column): column for column in metadata.columns}
    near = difflib.get_close_matches(fold_column(name), by_folded, 1)
    hint = f" Did you mean {by_folded[near[0]]!r}?" if near else ""
    return QueryError(
        f"the filter names the column {_shorten(name)!r}, which this gallery does not have. Its "
        f"columns are: {_list_columns(metadata)}.{hint}"
    )


def _not_comparable(name: str, column: Column, operator: str) -> QueryError:
    what = "true or false" if column.type == "boolean" else "text"
    reason = ""
    if column.type == "text":
        words = [text for text in column.texts if not is_number(text)]
        if words and len(words) < len(column.texts):
            reason = f", since some of its values are no numbers, such as {words[0]!r}"
    return QueryError(
        f"the filter compares {name!r} by {operator}, which numbers allow; its values are "
        f"{what}{reason}. Use = or in."
    )


def _typed(text: str, name: str, column: Column) -> Value:
    """Convert the text of a value in a filter to the type of its column.

    Args:
        text: The value as written in the filter.
        name: The column's name, for the message.
        column: The column.

    Raises:
        QueryError: The text is not a value of that type.
    """
    if column.type == "text":
        return unicodedata.normalize("NFC", text)
    if column.type == "number" and is_number(text) and np.isfinite(float(text)):
        return float(text)
    if column.type == "boolean" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    expected = "a number" if column.type == "number" else "true or false"
    raise QueryError(
        f"the filter compares {name!r} with {_shorten(text)!r}; expected {expected}, since that is "
        "what the column has."
    )
