"""Rules for excluded colors, patterns and parts: "avoid red" becomes "not red"."""

import re
from functools import lru_cache

from dwc.lazy_pattern import compile_lazily
from dwc.modeling.rephrasing_rules.rule import Rule, unless_negated
from dwc.modeling.rephrasing_rules.vocabulary import (
    AFTER_COLOR,
    BARE_VALUE,
    BETWEEN,
    EXCLUDED_THINGS,
    EXCLUDING_MODALS,
    EXCLUDING_VERBS,
    IS_REJECTED,
    NEGATIONS_OF_ALL,
    NEGATIONS_OF_FIRST,
    OPPOSITES,
    PERSON,
    PHRASE_END,
    VALUE,
    VALUE_LIST,
    pattern_of,
)
from dwc.negation.garment_words import ANY_PATTERN, SHADED_COLOR
from dwc.negation.phrases import ONLY

_REPLACING = ("instead of", "rather than")  # "dots instead of stripes"


def _exclusion_of(negations: str, joint: str) -> re.Pattern[str]:
    """Return a regular expression that matches exclusions such as "not red" or "not red or blue".

    An exclusion has one value (a color or a pattern) or a list of values.

    Args:
        negations: Regular expression of the excluding phrases, such as "not" or "avoid".
        joint: Regular expression of the words that may join the last value of a list, such as
            "or|nor".
    """
    more = rf"(?:\s*,\s*{BETWEEN}{VALUE})*(?:\s*,?\s*\b(?:{joint})\s+|\s*/\s*){BETWEEN}{VALUE}"
    return compile_lazily(
        rf"(?<![\w'-]){PERSON}(?:(?:with|has|have|having)\s+)?(?P<negation>{negations})(?:(?<=-)|(?<=\bnon)|(?<=\bun)|\s+){BETWEEN}"
        rf"(?P<values>{VALUE}(?:{more})*){AFTER_COLOR}{PHRASE_END}",
        re.IGNORECASE,
    )


_EXCLUSIONS = (
    _exclusion_of(f"{EXCLUDING_VERBS}|{pattern_of(NEGATIONS_OF_ALL)}", "or|nor|and"),
    _exclusion_of(f"{EXCLUDING_MODALS}|{pattern_of(NEGATIONS_OF_FIRST)}|non-?|un-?", "or|nor"),
)
_ANY_VALUE = compile_lazily(BARE_VALUE, re.IGNORECASE)
# "nothing but red", "no color other than red", "no other color than red".
ONLY_VALUE = compile_lazily(
    rf"(?<![\w'-]){PERSON}(?:{ONLY.pattern})\s+{BETWEEN}(?P<value>{SHADED_COLOR}|plain){PHRASE_END}",
    re.IGNORECASE,
)
_OTHER_COLOR = compile_lazily(
    rf"(?<![\w'-])(?:in\s+|of\s+)?(?:any\s+|some\s+|an\s+)?other\s+colou?rs?{PHRASE_END}",
    re.IGNORECASE,
)
# "red is not ok", "stripes not wanted", "checks are out", "replace the red".
_REJECTED = compile_lazily(
    rf"(?<![\w'-])(?:the\s+|any\s+)?(?P<values>{VALUE_LIST})"
    rf"(?:\s+ones?)?(?:\s+{IS_REJECTED}|\s*,\s*no\s+(?:thanks|thank\s+you)){PHRASE_END}"
    rf"|(?<![\w'-])(?:replace|swap(?:\s+out)?|hide)\s+(?:the\s+|any\s+)?"
    rf"(?P<replaced>{VALUE_LIST})"
    rf"(?!\s+(?:with|by|for|to)\b){PHRASE_END}",
    re.IGNORECASE,
)
# "it doesn't have to be red", which excludes nothing.
_NOT_REQUIRED = compile_lazily(
    r"\b(?:(?:do(?:es)?n't|do(?:es)?\s+not)\s+(?:have|need)\s+to|needs?(?:n't|\s+not))"
    r"\s+(?:be|have)\s+(?:\w+\s+)?\w+$",
    re.IGNORECASE,
)
# Exclusions that models follow as well as the phrases of `EXCLUDED_THINGS` and that stay as typed,
# such as "without a belt". Only nouns count: "without striped" is rephrased.
_NOUNS = [
    name
    for names, read in EXCLUDED_THINGS.items()
    for name in names.split("|")
    if read.startswith("no ") and not name.endswith(("ed", "ey", "py"))
]
_FOLLOWED = compile_lazily(
    rf"(?:no|without|with no|has no)\s+(?:any\s+|an?\s+)?({'|'.join(_NOUNS)})", re.IGNORECASE
)


@unless_negated
def _rephrase_exclusion(match: re.Match[str]) -> str | None:
    """Rephrase an exclusion: "avoid red" becomes "not red".

    The result is None, and the phrase stays, in these cases:

    - a negation such as "not" stands directly before it;
    - it excludes nothing, as in "it doesn't have to be red";
    - the words before it name the replacement, as in "a hood instead of stripes";
    - models follow it well as typed, such as "without a belt".
    """
    before = match.string[: match.start()]
    if _NOT_REQUIRED.search(before + match[0]):
        return None
    if (
        match["negation"].lower() in _REPLACING
        and before.strip()
        and not before.rstrip().endswith(",")
    ):
        return None
    read = _exclude(match["values"], match.string)
    return None if "in plain" not in read and _FOLLOWED.fullmatch(match[0]) else read


@unless_negated
def _rephrase_rejected(match: re.Match[str]) -> str | None:
    """Rephrase a rejected color or pattern: "red is not ok" becomes "not red".

    The result is None, and the phrase stays, if a negation such as "not" stands directly before it.
    """
    return _exclude(next(values for values in match.groups() if values), match.string)


def rephrase_only(match: re.Match[str]) -> str:
    """Return the phrase "only red" for a phrase such as "nothing but red"."""
    return f"only {match['value']}".lower()


def _exclude(values: str, text: str) -> str:
    """Return phrases that exclude each value of a list: "not red, in plain" for "red or striped".

    A pattern is excluded by "in plain". If the text asks for another pattern, such as "with dots",
    the phrase names the pattern instead: "no stripes".

    Args:
        values: The list as typed, such as "red or striped".
        text: The whole text that contains the list.
    """
    is_plain = not _asks_for_pattern(text)
    read = [_rephrase_value(value[0].lower(), is_plain) for value in _ANY_VALUE.finditer(values)]
    return ", ".join(dict.fromkeys(read))


@lru_cache(maxsize=16)  # a text may have many exclusions
def _asks_for_pattern(text: str) -> bool:
    """Return whether a text names a pattern that it does not exclude."""
    for exclusions in (*_EXCLUSIONS, _REJECTED):
        text = exclusions.sub(" ", text)
    return ANY_PATTERN.search(text) is not None


def _rephrase_value(value: str, is_plain: bool) -> str:
    """Return the phrase that excludes a value, such as "not red" for "red".

    Args:
        value: The value, in lower case.
        is_plain: If True, a pattern such as "striped" is excluded by "in plain"; if False, by "no
            stripes".
    """
    if is_plain and ANY_PATTERN.fullmatch(value):
        return "in plain"
    for names, read in (OPPOSITES | EXCLUDED_THINGS).items():
        if re.fullmatch(names, value):
            return read
    color = re.match(SHADED_COLOR, value)  # without the ending of "reds"
    return f"not {color[0] if color else value}"


EXCLUSION_RULES: tuple[Rule, ...] = (
    (_OTHER_COLOR, lambda match: "in another color"),
    (_REJECTED, _rephrase_rejected),
    *((item, _rephrase_exclusion) for item in _EXCLUSIONS),
)
