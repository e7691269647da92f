"""Corrections within a text: "red t-shirt, make that green" becomes "green t-shirt"."""

import re

from dwc.lazy_pattern import compile_lazily
from dwc.modeling.rephrasing_rules.rule import Rule
from dwc.modeling.rephrasing_rules.vocabulary import (
    ANY_NEGATION,
    ANY_PART,
    PHRASE_END,
    SLEEVE_LENGTHS,
)
from dwc.negation.garment_words import (
    ANY_KIND,
    KINDS,
    PATTERN_NAMES,
    PATTERN_OR_PLAIN,
    SHADED_COLOR,
)

# A value that corrects an earlier one: "red t-shirt. Make that green", "stripes - no, dots".
_COLOR_LIST = rf"{SHADED_COLOR}(?:(?:\s*,\s*|\s*/\s*|\s+)(?:and\s+|or\s+)?{SHADED_COLOR})*"
_LENGTH_OF_SLEEVES = rf"{SLEEVE_LENGTHS}(?=[\s-]sleeve[sd]?\b)"
# Words that only correct after a comma, a full stop or a dash; a comma follows "no". No word may be
# matched both here and in `_CORRECTING`, since the time of a match then doubles with each.
_HESITATING = (
    r"(?:no(?=\s*[,.:;!-]|\s+(?:sorry|actually|make|i\s+mean|scratch|rather|hold|hang|better)\b)"
    r"|nope|nah|sorry|pardon|apologies|(?:wh)?oops|wait|(?:hold|hang)\s+on|ah|oh|er+m?|uh+m?|u+m+|hm+|ok(?:ay)?|well|actually"
    r"|better(?:\s+(?:yet|still))?|rather|instead|my\s+(?:mistake|bad|fault)|correction|edit|update)"
)
_CORRECTING = (
    r"(?:(?:scratch|strike|cancel|undo|forget|ignore|disregard|delete)\s+(?:that|it)|make\s+(?:that|it)"
    r"|(?:change|turn|switch)\s+(?:that|it|this)\s+(?:in)?to"
    r"|(?:let's|let\s+us|lets)\s+(?:make|say|go\s+(?:for|with)|have|try|do|take)(?:\s+(?:that|it))?"
    r"|i\s+(?:(?:really|actually)\s+)?mean(?:t)?(?:\s+to\s+(?:say|write|type))?"
    r"|on\s+second\s+thoughts?|(?:i(?:'ve|\s+have)?\s+)?changed\s+my\s+mind|(?:i\s+)?take\s+(?:that|it)\s+back"
    r"|or\s+(?:rather|better(?:\s+(?:yet|still))?)|no\s+wait)"
)
_GAP = r"[\s,.;:!?()*-]+"
_BEFORE_NEW = (
    r"(?:(?:please|in|with|an?|the|it|it's|that|one|be|to|want|have|get|i|i'd|we|would|will|like|prefer|need"
    r"|make|should|say|now)[\s,]+){0,8}"
)
# Words that correct after the new value, as in "green, sorry".
_MARKED_AFTER = r"[\s,.;(-]+(?:i\s+meant?|sorry|actually|rather(?!\s+than)|instead(?!\s+of))"
_ANY_PATTERN_NAME = rf"(?:{PATTERN_OR_PLAIN})(?![\w'-])"
_NEW_COLOR = (
    rf"{_GAP}{_BEFORE_NEW}{SHADED_COLOR}(?![\w'-]|\s+(?:{PATTERN_NAMES}|{ANY_PART}|sleeves?)\b)"
)
_CORRECTION = compile_lazily(
    rf"(?<!\bbut)(?:(?P<marked>(?:\s*[,.;!?(*-]+\s*|\s+-+\s*){_HESITATING}(?:{_GAP}(?:{_HESITATING}|{_CORRECTING}))*"
    rf"|{_GAP}{_CORRECTING}(?:{_GAP}(?:{_HESITATING}|{_CORRECTING}))*"
    # A value that is corrected itself: ", green, sorry, blue".
    rf"|(?P<chain>(?:\s*[,.;!?(]+\s*|\s+-+\s+){_BEFORE_NEW}"
    rf"(?:{_COLOR_LIST}{_MARKED_AFTER}(?={_NEW_COLOR})"
    rf"|{_ANY_PATTERN_NAME}{_MARKED_AFTER}(?={_GAP}{_BEFORE_NEW}{_ANY_PATTERN_NAME}))))"
    rf"{_GAP}|\s*[,.;!?(]+\s*|\s+-+\s+){_BEFORE_NEW}"
    rf"(?=\w)(?P<color>{_COLOR_LIST})?(?:(?:(?<=\w)\s+)?(?P<pattern>{_ANY_PATTERN_NAME}))?"
    rf"(?:(?:(?<=\w)\s+)?(?P<sleeves>{SLEEVE_LENGTHS})(?:(?:[\s-]sleeve[sd]?|\s+ones?)|(?=\s*(?:$|[,.;!?]))))?"
    rf"(?:(?:(?<=\w)\s+)?(?P<kind>{KINDS}))?(?<![\s,.;:!?()*-])"
    rf"(?(marked)|{_MARKED_AFTER}(?(color)(?!{_NEW_COLOR})))"
    r"(?:\s+(?:ones?|version|instead|rather|please|then|though))*"
    rf"(?:\)|{PHRASE_END})(?!\s*[?:=-]+\s*(?:no|none|nope|never|off|false)\b)",
    re.IGNORECASE,
)
# "no, in red", which answers what a person has seen.
_LEADING_NO = compile_lazily(
    r"^\W*(?:(?:oh|well|ah|um+|hm+)[\s,.]+)?(?:no|nope|nah|sorry|oops|actually)\s*[,.;:!]+\s*"
    r"(?:(?:i\s+meant?|make\s+(?:it|that))[\s,:]+)?"
    rf"(?P<wish>(?:in\s+|with\s+)?(?:an?\s+)?(?:{_COLOR_LIST}|{PATTERN_OR_PLAIN})){PHRASE_END}"
    r"(?!\s*[?:=-]+\s*(?:no|none|nope|never|off|false)\b)",
    re.IGNORECASE,
)
_CORRECTED = {
    "color": compile_lazily(rf"(?<![\w'-])(?:{_COLOR_LIST})(?![\w'-])", re.IGNORECASE),
    "pattern": compile_lazily(rf"(?<![\w'-]){_ANY_PATTERN_NAME}", re.IGNORECASE),
    "sleeves": compile_lazily(rf"(?<![\w'-])(?:{_LENGTH_OF_SLEEVES})", re.IGNORECASE),
    "kind": ANY_KIND,
}
_ADJECTIVE_OF = {
    "stripes": "striped",
    "flowers": "floral",
    "checks": "checked",
    "dots": "dotted",
    "spots": "spotted",
    "prints": "printed",
}
# What follows a color that is not that of the garment: "red sleeves", "white dots".
_OF_A_PART = compile_lazily(
    rf"\s+(?:(?:{SLEEVE_LENGTHS})[\s-])?(?:{ANY_PART}|sleeves?|{PATTERN_NAMES})(?![\w'-])(?!\s+(?:{KINDS})\b)",
    re.IGNORECASE,
)
_AFTER_NEGATION = compile_lazily(
    rf"(?<![\w'-])(?:not|never|nothing|no|nor|without|\w+n't|{ANY_NEGATION})(?:\s+[\w'-]+){{0,3}}\s+$",
    re.IGNORECASE,
)


def apply_corrections(text: str, changes: dict[str, str]) -> str:
    """Replace values that a text corrects: "red t-shirt, make that green" becomes "green t-shirt".

    The replaced value is the last one before the correction that has the same type (color, pattern,
    sleeve length or kind of garment) and is not excluded. The text stays as typed if there is no
    such value, or if the correction names a kind and the text before it names several kinds.

    Args:
        text: The text.
        changes: A dict to which this function adds the replacement of each corrected phrase.
    """
    start = 0
    former: tuple[int, int, str] | None = None  # span of the last replacement, and what was typed
    while match := _CORRECTION.search(text, start):
        values = {name: value for name in _CORRECTED if (value := match[name])}
        targets = {name: _find_corrected(name, text[: match.start()]) for name in values}
        spans = {name: span for name, span in targets.items() if span is not None}
        if not spans or ("kind" in values and len(ANY_KIND.findall(text[: match.start()])) > 1):
            # A value that is followed by "sorry" may be the one that the next value corrects.
            only_marked = match["marked"] and not match["chain"]
            start = match.end() if only_marked else match.start() + 1
            continue
        replaced: dict[str, str] = {}
        before = ""  # values without an earlier one come before the next value, or after the last
        for name, value in values.items():
            before = f"{before} {value}".strip()
            if name in spans:
                replaced[name], before = before, ""
        last = list(replaced)[-1]
        replaced[last] = f"{replaced[last]} {before}".strip()
        first = start = min(begin for begin, _ in spans.values())
        read = text[: match.start()]
        for name, (begin, stop) in sorted(spans.items(), key=lambda item: -item[1][0]):
            new = _in_form_of(read[begin:stop].lower(), replaced[name].lower())
            read = read[:begin] + new + read[stop:]
        stop, typed = match.end(), text[first : match.end()]
        if former is not None and first < former[1]:  # it corrects a correction: one change
            changes.pop(former[2].strip(), None)
            first, stop = min(first, former[0]), max(stop, former[1])
            typed = text[first : former[0]] + former[2] + text[former[1] : stop]
        read += text[match.end() : stop]
        changes[typed.strip()] = read[first:]
        former, text = (first, len(read), typed), read + text[stop:]
    return text


def _find_corrected(name: str, before: str) -> tuple[int, int] | None:
    """Return the span of the value that a correction replaces; None if there is no such value.

    This is the last value of the given type before the correction. Values that the text excludes do
    not count, nor do colors of a part, such as "red sleeves".

    Args:
        name: The type, such as "color", a key of `_CORRECTED`.
        before: The text before the correction.
    """
    spans = [
        match.span()
        for match in _CORRECTED[name].finditer(before)
        if not _AFTER_NEGATION.search(before[: match.start()])
        and not (name == "color" and _OF_A_PART.match(before, match.end()))
    ]
    return spans[-1] if spans else None


def _in_form_of(old: str, new: str) -> str:
    """Return a new pattern as a noun or as an adjective, whichever the old pattern is.

    For example, "dots" in place of "striped" becomes "dotted". Values of other types, such as
    colors, stay as they are.

    Args:
        old: The replaced value, in lower case.
        new: The value that replaces it, in lower case.
    """
    if old in _ADJECTIVE_OF.values():
        return _ADJECTIVE_OF.get(new, new)
    if old in _ADJECTIVE_OF:
        return next((noun for noun, adjective in _ADJECTIVE_OF.items() if adjective == new), new)
    return new


LEADING_NO_RULES: tuple[Rule, ...] = ((_LEADING_NO, lambda match: match["wish"].lower()),)
