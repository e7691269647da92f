"""Rephrase exclusions in a typed text in the words that the bundled checkpoint follows best.

"never red", "anything but red" and "lose the red" all exclude red, but a model follows some phrases
better than others. `rephrase_exclusions` replaces them by the phrases that the bundled checkpoint
was measured to follow on drawings and photographs (`tests/bench/test_exclusion_phrases.py`):

- a color: "not red"; after other words: "dress but not red";
- a part or a pattern: "no stripes"; sleeves: "without sleeves";
- a value with a single opposite: "not sleeveless" becomes "with sleeves";
- a color that replaces another one: "blue instead of red" and "from red to blue" become "in blue",
  since a model confuses which of two colors is wanted.

The setting `rephrase_exclusions` of a checkpoint's processor turns this on. A note names what was
read instead (`TypedText.respelled`).
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from dwc.negation import COLORS, NEGATIONS, ONLY

# Patterns and parts, as typed, with the phrase that excludes them.
_THINGS = {
    "stripes?|striped|stripy|stripey": "no stripes",
    "flowers?|floral|flowery": "with no flowers",
    "checks|checked|checkered|chequered": "no checks",
    "dots|dotted|spots|spotted|polka[ -]dots?": "with no dots",
    "prints?|printed": "no print",
    "graphics?": "no graphic",
    "logos?": "no logo",
    "patterns?|patterned": "no pattern",
    "hoods?|hooded": "no hood",
    "collars?|collared": "no collar",
    "buttons?|buttoned": "no buttons",
    "zips?|zippers?|zipped": "no zip",
    "belts?|belted": "no belt",
    "pockets?": "no pockets",
    "laces": "no laces",
    "straps?": "no straps",
    "buckles?": "no buckle",
    "drawstrings?": "no drawstring",
    "ribbons?": "no ribbon",
    "plaid": "no plaid",
}
# Values whose negation is another value's name.
_OPPOSITES = {
    "sleeveless": "with sleeves",
    "plain": "with a pattern",
    "sleeves?": "without sleeves",
}

_SHADE = r"(?:(?:very\s+)?(?:dark|light|bright|pale|deep|medium)[\s-]+)?"
_COLOR = rf"{_SHADE}(?:{COLORS})"
_THING = "|".join(_THINGS)
_OPPOSITE = "|".join(_OPPOSITES)
_BARE_VALUE = rf"(?:{_COLOR}(?:s|es)?|{_THING}|{_OPPOSITE})"
_VALUE = rf"(?:{_BARE_VALUE}|[\"'*]{_BARE_VALUE}[\"'*]|\({_BARE_VALUE}\)|\[{_BARE_VALUE}\])"

# Negations that exclude each value of a list, even if it is joined by "and" ("avoid red and blue").
_VERBS = (
    r"avoid(?:ing)?|exclude|eliminate|ban|reject|hates?|dislikes?|loathes?|detests?|despises?"
    r"|can't\s+stand|sick\s+of|tired\s+of|fed\s+up\s+with|not\s+a\s+fan\s+of"
)
_MODALS = (
    r"no\s+longer|(?:(?:that|which|it)\s+)?(?:should|must|may|can|could|will|would)\s+"
    r"(?:not|never)\s+(?:be|have)"
)
_REPLACING = ("instead of", "rather than")  # "dots instead of stripes"
_KEPT_NEGATIONS = {("replace",), ("swap",)}  # "replace the belt with buttons"


def _pattern_of(phrases: Iterable[tuple[str, ...]]) -> str:
    """Return a regular expression for phrases, longest first."""
    longest_first = sorted(phrases, key=lambda phrase: -len(phrase))
    return "|".join(r"\s+".join(map(re.escape, phrase)) for phrase in longest_first)


_OF_ALL = {
    phrase
    for phrase, reach in NEGATIONS.items()
    if reach == "removing" or not {"but", "except", "excluding"}.isdisjoint(phrase)
} - _KEPT_NEGATIONS
_OF_FIRST = NEGATIONS.keys() - _OF_ALL - _KEPT_NEGATIONS
_ANY_NEGATION = f"{_VERBS}|{_MODALS}|{_pattern_of(NEGATIONS)}"
_PERSON = r"(?:(?:please|(?:i|we)(?:'d|\s+would|\s+will|\s+really|\s+just)*)\s+)?"
_BETWEEN = r"(?:(?:any|an?|the|in|with|of|wear|want|have|anything|something|shades?\s+of)\s+)*"
_AFTER_COLOR = r"(?:\s+(?:ones?|colou?rs?|colou?red|clothes|clothing|things?|garments?|in\s+it))?"
_END = (
    r"(?=\s*(?:$|[.,;:!?)\]\"']|(?:and|or|but|with|without|in|on|from|for|please|at|which|that|because"
    r"|no|not)\b))"
)


def _exclusion_of(negations: str, joint: str) -> re.Pattern[str]:
    """Return a pattern of the exclusion of one value, or of a list whose last is joined so."""
    more = rf"(?:\s*,\s*{_BETWEEN}{_VALUE})*\s*,?\s*\b(?:{joint})\s+{_BETWEEN}{_VALUE}"
    return re.compile(
        rf"(?<![\w'-]){_PERSON}(?:(?:with|has|have|having)\s+)?(?P<negation>{negations})(?:(?<=-)|(?<=\bnon)|(?<=\bun)|\s+){_BETWEEN}"
        rf"(?P<values>{_VALUE}(?:{more})*){_AFTER_COLOR}{_END}",
        re.IGNORECASE,
    )


_EXCLUSIONS = (
    _exclusion_of(f"{_VERBS}|{_pattern_of(_OF_ALL)}", "or|nor|and"),
    _exclusion_of(f"{_MODALS}|{_pattern_of(_OF_FIRST)}|non-?|un-?", "or|nor"),
)
_ANY_VALUE = re.compile(_BARE_VALUE, re.IGNORECASE)

_OLD = rf"{_COLOR}(?:(?:\s*,\s*|\s+)(?:or|nor)\s+{_COLOR})*"
_SWAP = re.compile(
    rf"(?<![\w'-])(?:"
    rf"(?:in\s+)?(?P<new1>{_COLOR})\s*(?:,\s*)?(?:(?:and|but)\s+)?"
    rf"(?:instead\s+of|rather\s+than|not|never|no\s+longer)\s+(?:in\s+|the\s+)?{_OLD}"
    rf"|(?:is\s+)?(?:not|never|instead\s+of|rather\s+than)\s+(?:in\s+)?{_OLD}\s*,?\s*but\s+"
    rf"(?:rather\s+|instead\s+)?(?:in\s+)?(?P<new2>{_COLOR})"
    rf"|(?:instead\s+of|rather\s+than|not)\s+(?:in\s+)?{_OLD}\s*,\s*in\s+(?P<new3>{_COLOR})"
    rf"|(?:(?:change|turn|from)\s+)?(?:it\s+)?(?:from\s+)?(?:the\s+)?{_COLOR}"
    rf"(?:\s+(?:in)?to\s+|\s*>\s*)"
    rf"(?P<new4>{_COLOR})"
    rf"|replace\s+(?:the\s+)?{_COLOR}\s+(?:with|by)\s+(?P<new5>{_COLOR})"
    rf"|swap\s+(?:the\s+)?{_COLOR}\s+(?:for|with)\s+(?P<new6>{_COLOR})"
    rf"){_END}",
    re.IGNORECASE,
)
_ANY_COLOR = re.compile(COLORS, re.IGNORECASE)
# Colors that look alike: of "blue, not navy" both count.
_ALIKE = [
    set(names.split())
    for names in (
        "blue navy teal turquoise",
        "green teal turquoise",
        "red burgundy maroon",
        "red pink",
        "purple burgundy",
        "white cream beige",
        "brown beige",
        "grey gray black",
        "orange yellow",
    )
]
# Before a phrase: it is negated itself ("not without a belt"), or one of a list ("red and blue").
_NEGATED = re.compile(
    rf"(?<![\w'-])(?:not|never|nothing|no|nor|without|\w+n't|{_ANY_NEGATION})\s+(?:be\s+)?$",
    re.IGNORECASE,
)
_IN_LIST = re.compile(r"(?:\b(?:and|or|nor)\s+|[/&+]\s*)(?:in\s+)?$", re.IGNORECASE)
# Phrases that are followed as well as those of `_THINGS`: "without a belt", not "without striped".
_NOUNS = [
    name
    for names, read in _THINGS.items()
    for name in names.split("|")
    if read.startswith("no ") and not name.endswith(("ed", "ey", "py"))
]
_FOLLOWED = re.compile(
    rf"(?:no|without|with no|has no)\s+(?:any\s+|an?\s+)?({'|'.join(_NOUNS)})", re.IGNORECASE
)
# Words before "but not red" to which "but" would not fit: "that is", "no stripes,", "and".
_NO_BUT = re.compile(
    r"(?:^|[.!?:(]|\b(?:is|are|be|that|which|and|but|or|nor|if|why|with|in|it's|looks?)"
    r"|(?:^|[,;.]|\band)\s*(?:no|not|without)\b[^,;.]*)[\s,;]*$",
    re.IGNORECASE,
)


class Rephrased(NamedTuple):
    """The result of `rephrase_exclusions`.

    Attributes:
        text: The text with other phrases.
        changes: Pairs of the phrase as typed and the phrase that replaced it, in order.
    """

    text: str
    changes: tuple[tuple[str, str], ...] = ()


def rephrase_exclusions(text: str) -> Rephrased:
    """Replace exclusions of colors, patterns and parts by phrases that models follow best.

    Phrases that exclude something else, such as a kind of garment, that name the only thing wanted
    ("nothing but red"), or that are negated themselves ("not without a belt") stay as they are.

    Args:
        text: A text in which `dwc.negation.spell_out_negations` was applied.
    """
    changes: dict[str, str] = {}
    for pattern, rephrase in (
        (_SWAP, _rephrase_swap),
        *((item, _rephrase_exclusion) for item in _EXCLUSIONS),
    ):
        only = [match.span() for match in ONLY.finditer(text)]
        done, end = "", 0
        for match in pattern.finditer(text):
            start, stop = match.span()
            read = rephrase(match)
            if read is None or any(first < stop and start < last for first, last in only):
                continue
            before, typed = done + text[end:start], match[0].strip()
            if read.startswith("not ") and not _NO_BUT.search(before):
                before, read = (
                    before.rstrip(" ,;") + " ",
                    f"but {read.replace(', not', ' and not')}",
                )
            elif read == " ".join(typed.lower().split()):
                continue
            done, end = before + read, stop
            changes[typed] = read
        text = done + text[end:]
    return Rephrased(text, tuple(changes.items()))


def _rephrase_swap(match: re.Match[str]) -> str | None:
    """Return "in" and the wanted color.

    The result is None if the colors are part of a longer phrase, or if another one looks like the
    wanted one, so that its exclusion means something.
    """
    before = match.string[: match.start()]
    if _NEGATED.search(before) or _IN_LIST.search(before):
        return None
    wanted = next(color for color in match.groups() if color).lower()
    names = [name.lower() for name in _ANY_COLOR.findall(match[0])]
    [new] = _ANY_COLOR.findall(wanted)
    names.remove(new)
    if new in names or any(new in alike and alike.intersection(names) for alike in _ALIKE):
        return None
    return f"in {wanted}"


def _rephrase_exclusion(match: re.Match[str]) -> str | None:
    """Return the phrase for an exclusion; None if it should stay as typed."""
    before = match.string[: match.start()]
    if _NEGATED.search(before) or _FOLLOWED.fullmatch(match[0]):
        return None
    if (
        match["negation"].lower() in _REPLACING
        and before.strip()
        and not before.rstrip().endswith(",")
    ):
        return None
    read = [_rephrase_value(value[0].lower()) for value in _ANY_VALUE.finditer(match["values"])]
    return ", ".join(dict.fromkeys(read))


def _rephrase_value(value: str) -> str:
    """Return the phrase that excludes one value."""
    for names, read in (_OPPOSITES | _THINGS).items():
        if re.fullmatch(names, value):
            return read
    color = re.match(_COLOR, value)  # without the ending of "reds"
    return f"not {color[0] if color else value}"
