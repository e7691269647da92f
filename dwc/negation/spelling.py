"""Spelling of negations: signs, contractions and typing mistakes.

`spell_out_negations` gives the negations of a typed text a standard spelling, such as "without" for
a leading minus. `correct_negation` corrects a mistyped word, such as "wihtout".
"""

import operator
import re
from itertools import pairwise

from dwc.negation.garment_words import (
    ANY_COLOR,
    ANY_KIND,
    COLORS,
    DETAIL,
    KINDS,
    PARTS,
    PATTERN_OR_PLAIN,
    PATTERNS,
    SHADED_COLOR,
)

_CONTRACTION = re.compile(
    r"(?<![\w'-])(is|are|was|were|do|does|did|ca|wo|has|have|had|should|would|could|must)(n)(t)"
    r"(?![\w'-])",
    re.IGNORECASE,
)
_WITH = re.compile(r"(?<![\w/-])w/(?=\s*[^\W\d_])(?!o(?:ut)?\b)", re.IGNORECASE)
_WITHOUT = re.compile(r"(?<![\w/-])(?:w/o(?:ut)?|with[\s-]out)(?![\w/-])", re.IGNORECASE)
# "Red. No: green" and "red, well no: green", corrections. In a list such as "Yes: red. No: green"
# it excludes.
_CORRECTING_NO = re.compile(
    rf"^(?P<before>[^:=]*\b(?:(?P<color>{COLORS})|(?P<pattern>{PATTERN_OR_PLAIN}))\b[^:=]*"
    r"(?:[.!?]|[\s,;(-](?:well|h+m+|u+m+|er+m?|uh+m?|oh|ah|sorry|(?:wh)?oops|wait|actually)[\s,.!]*)"
    r"(?:(?<=\W)|\s)\s*no)"
    rf"\s*:(?=\s*(?:in\s+)?(?:(?:dark|light|bright|pale)\s+)?(?:(?(color)(?:{COLORS})|(?:{PATTERN_OR_PLAIN}))\b))",
    re.IGNORECASE,
)
# "without: hood" and "not: red", but not "no: red" at the start, which answers a question.
_COLON_AFTER_NEGATION = re.compile(
    r"(?<![\w'-])(without|not|(?<=[\w,;.]\s)no)\s*:\s*[-\u2022*]*\s*(?=[^\W\d_])|"
    r"(?<![\w'-])(without),\s*(?=[^\W\d_])",
    re.IGNORECASE,
)
# "(no: black, white)", "; minus: black", "without: hood, belt" and, with the garment after it,
# "no: black; t-shirt". All things of such a list are excluded.
_LISTED_COLOR = rf"(?:in\s+)?{SHADED_COLOR}"
_LISTED_THING = rf"(?:an?\s+|any\s+|the\s+)?(?:{DETAIL}|{'|'.join((*PATTERNS, *PARTS))}|{KINDS})"
_LIST_JOINT = r"(?:\s*[,/&+]\s*(?:(?:and|or|nor)\s+)?|\s+(?:and|or|nor)\s+)"
_LIST_AFTER_NEGATION = re.compile(
    r"(?P<gap>(?:^|\s*[,;.\n|/\u2010-\u2015-]?)\s*)(?P<open>[(\[{]\s*)?(?<![\w'-])"
    r"(?P<negation>no|not|never|without|sans|except(?:\s+for)?|minus|exclud(?:e|es|ed|ing)|avoid)\s*[:\uff1a]\s*"
    rf"(?P<things>{_LISTED_COLOR}(?:{_LIST_JOINT}{_LISTED_COLOR})*"
    rf"|{_LISTED_THING}(?:{_LIST_JOINT}{_LISTED_THING})*)(?![\w'-])"
    r"(?:\s*(?P<close>[)\]}])|(?=\s*(?:$|[.;!?|\n)\]}\u2010-\u2015/]|-\s|,)))",
    re.IGNORECASE,
)
_ARROW = re.compile(
    r"(?<=[^\W\d_])\s*(?:[-=~]+>+|[\u2192\u21d2\u2794\u279c\u27a1\u27f6])\ufe0f?\s*(?=[^\W\d_])"
)
_PROHIBITION = re.compile("([🚫⛔❌🛇✕✗✘✖👎🙅])")
# A gesture may have a color of the skin and a sign of the sex after it.
_PROHIBITED = re.compile(
    r"(?:^|(?<=[\s,;(]))[🚫⛔❌🛇✕✗✘✖👎🙅][\U0001f3fb-\U0001f3ff]?[♀♂]?\ufe0f?\s*(?=[^\W\d_])"
)
_NOT_SIGN_AFTER_JOINT = re.compile(r"(?<=[,;(/|&+])(?=[!\u00ac][^\W\d_])")
UNEQUAL = re.compile(r"\s*(?:!==?|<>|=/=|!~|\u2260|=\u0338|\u2209|\u2262)\s*")
ANSWERED_NO = re.compile(
    r"(?<=[^\W\d_])[^\S\n]*"
    r"(\?+|[:=]+|(?<=\s)[-\u2010-\u2015\u2212]|-(?=\s*no(?:ne)?\b))"
    r"[^\S\n]*(no|not|none|nope|never|off|false|0)\b"
    r"(?=\s*(?:[.,;!?|/)\]\n]|(?:and|but)\b|[^\W\d_]+\s*[:=]|$))",
    re.IGNORECASE,
)
_ANSWER_END = re.compile(r"[^\S\n]*(?:\n|\s(?!and\b|but\b)[^\W\d_]+\s*[:=])", re.IGNORECASE)
_DASHES = "-\u2010-\u2015\u2212"  # for a character class: hyphens, dashes and the minus sign
_MINUS = re.compile(
    r"(?:(?<=^)|(?<=[\s,;(\[{/|&+\"\u201c]))[-\u2212\uff0d\u2796]{1,2}"
    r"(?=[\"'\u201c\u2018(\[{]?[^\W\d_])(?!(?:no|not|without)\b|(?:any|every|all)(?:thing)?\s+(?:but|except)\b)"
)
_MINUS_AFTER_JOINT = re.compile(r"(?<=[/|&+])(?=[-\u2212\uff0d\u2796]{1,2}[\"'(\[]?[^\W\d_])")
_DASH_BEFORE_WORD = re.compile(r"(?:(?<=^)|(?<=\s))([\u2010-\u2015])(?=[^\W\d_])")
_LIST_ITEM = re.compile(rf"\s*[{_DASHES}\uff0d]+\s*(.*\w.*?)[\s,;]*")
_LIST_ITEM_LIKE_MINUS = re.compile(r"\s*[-\u2212\uff0d][^\W\d_]")


def spell_out_minus(text: str) -> str:
    """Replace a leading minus by "without": "dress -stripes" becomes "dress without stripes".

    A hyphen or minus sign is replaced only at the start of a word, or before words in quotes or
    brackets. "long-sleeved", "a - b" and a dash before a negation ("longer -no belt") are
    unchanged. A longer dash ("like this –shorter") is not a minus; a space is inserted between this
    dash and the word.

    In a text of several lines, a dash at the start of a line marks an entry of a list, and the
    entries are joined with commas: "Wishes:", "-blue" and "-longer" become "Wishes: blue, longer".
    """
    lines = [line for line in text.splitlines() if line.strip()]
    items = [_LIST_ITEM.fullmatch(line) for line in lines]
    if len(lines) > 1 and any(items):
        text = ""
        for line, item in zip(lines, items, strict=True):
            is_open = text.rstrip().endswith((",", ";", ":", ".", "!", "?"))
            text += "" if not text else "\n" if not item else " " if is_open else ", "
            text += line if item is None else item[1]
    text = _MINUS_AFTER_JOINT.sub(" ", _DASH_BEFORE_WORD.sub(r"\1 ", text))
    return _MINUS.sub("without ", text)


def has_ambiguous_list(text: str) -> bool:
    """Return whether a text has several lines, and one of them starts with a dash before a word.

    The dash in "-belt" may then be a bullet of a list. In a text of one line, it is a minus, which
    excludes the belt.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    return len(lines) > 1 and any(map(_LIST_ITEM_LIKE_MINUS.match, lines))


def spell_out_negations(text: str) -> str:
    """Return a text with its negations in a standard spelling.

    - Contractions get their apostrophe: "isnt" becomes "isn't".
    - "w/o" and "with out" become "without", and "w/" becomes "with".
    - A prohibition sign before a word becomes "not": "🚫red" becomes "not red". Other prohibition
      signs are separated from the words next to them, so that they can be reported as unknown; a
      word tokenizer would delete a sign that touches a word.
    - Signs for "not equal", such as "≠", become the word "!=", and "belt=no" becomes "belt = no".
      So `unknown_function_words` can find these signs.
    - A comma is added after an answer such as "no". Otherwise the two lines "belt: no" and "red:
      yes" would be read as "no red".
    - A list after a negation with a colon is joined by "or": "t-shirt (no: black, white)" becomes
      "t-shirt, not black or white".
    - Any other colon after a negation is removed: "without: hood" becomes "without hood". But
      after a sentence with a color or a pattern, "No: green" is a correction, and becomes "No,
      green".
    - An arrow between words becomes "to": "red -> blue" becomes "red to blue".
    - A leading minus becomes "without", see `spell_out_minus`.
    """
    text = _CORRECTING_NO.sub(r"\g<before>,", text)
    text = _LIST_AFTER_NEGATION.sub(_spell_out_list, text)
    text = _COLON_AFTER_NEGATION.sub(lambda match: f"{match[1] or match[2]} ", text)
    text = _ARROW.sub(" to ", text)
    text = _CONTRACTION.sub(r"\1\2'\3", text)
    text = _WITH.sub("with ", _WITHOUT.sub("without", text))
    text = UNEQUAL.sub(" != ", _NOT_SIGN_AFTER_JOINT.sub(" ", text))
    text = ANSWERED_NO.sub(_spaced_answer, text)
    text = _PROHIBITED.sub(" not ", text)
    return spell_out_minus(_PROHIBITION.sub(r" \1 ", text))


def _spell_out_list(match: re.Match[str]) -> str:
    """Return a list after a negation with a colon as one phrase: ", not black or white".

    "No: red" stays as it is at the start of a text without a garment after it, and in brackets
    after a color: there it corrects.

    Args:
        match: A match of the pattern of such lists.
    """
    before, after = match.string[: match.start()], match.string[match.end() :]
    things = match["things"]
    is_color = re.match(_LISTED_COLOR, things, re.IGNORECASE) is not None
    if match["negation"].lower() == "no":
        if not before.strip() and not ANY_KIND.search(after):
            return match[0]
        if match["open"] and is_color and ANY_COLOR.search(before):
            return match[0]
    is_single = re.search(_LIST_JOINT, things, re.IGNORECASE) is None
    is_short = match["negation"].lower() in ("no", "not", "without") and not match["open"]
    if is_single and is_short and before.strip() and match["gap"].strip() in (",", ";", "."):
        return match[0]  # `_COLON_AFTER_NEGATION` removes the colon
    names = [name for name in re.split(_LIST_JOINT, things, flags=re.IGNORECASE) if name]
    listed = " or ".join([", ".join(names[:-1]), names[-1]]) if names[1:] else names[0]
    is_kind = re.match(rf"(?:an?\s+|any\s+|the\s+)?(?:{KINDS})(?![\w'-])", things, re.IGNORECASE)
    word = "not" if is_color else "no" if is_kind else "without"
    gap = match["gap"] if not before.strip() else "\n" if "\n" in match["gap"] else ", "
    is_joined = re.match(r"\s*(?:$|[,.;:!?)\]}|\n])", after)
    return f"{gap}{word} {listed}{'' if is_joined else ','}"


def _spaced_answer(match: re.Match[str]) -> str:
    """Return an answer with spaces: " = no" for the "=no" of "belt=no".

    A comma is added if the line ends after the answer, or if a word with a sign follows, such as
    "red:". The comma separates the answer from the following words.

    Args:
        match: A match of the pattern of such answers.
    """
    sign, answer = match[1], match[2]
    before = "" if sign[0] in ":?" else " "
    is_end = _ANSWER_END.match(match.string, match.end()) is not None
    return f"{before}{sign} {answer}{',' if is_end else ''}"


# Words of negations that are often mistyped. Shorter ones differ from other words by one letter,
# such as "never" from "newer".
_OFTEN_MISTYPED = (
    "without", "except", "excluding", "anything", "everything", "something", "nothing", "instead",
)  # fmt: skip
# Short words of negations, in which letters may be exchanged, repeated or left out.
_SHORT = {"nt": "not"} | {word: word for word in ("no", "not", "non", "none", "never")}
_REPEATED_END = re.compile(r"(.)\1+$")


def correct_negation(word: str) -> str | None:
    """Return the right word for a mistyped word of a negation; None for any other word.

    For example, "exept" gives "except", and "nto" gives "not". A mistyped word has one wrong,
    missing or additional letter, or two letters in the wrong order. In short words, only these
    mistakes are corrected: the order of the letters of "not", a repeated last letter ("nooo"), and
    "nt" for "not".

    Args:
        word: A word that the model does not know.
    """
    word = word.lower()
    if word in _transposed("not"):
        return "not"
    if word in _SHORT.values():
        return None
    if short := _SHORT.get(word) or _SHORT.get(_REPEATED_END.sub(r"\1", word)):
        return short
    return next((right for right in _OFTEN_MISTYPED if is_slip(word, right)), None)


def is_slip(word: str, right: str) -> bool:
    """Return whether a word differs from the right word by a single typing mistake.

    A mistake is one wrong, missing or additional letter, or two adjacent letters in the wrong
    order.
    """
    if len(word) == len(right):
        differences = sum(map(operator.ne, word, right))
        return differences == 1 or word in _transposed(right)
    short, long = sorted((word, right), key=len)
    shortened = (long[:position] + long[position + 1 :] for position in range(len(long)))
    return len(long) == len(short) + 1 and short in shortened


def _transposed(word: str) -> list[str]:
    """Return all misspellings that result from exchanging two adjacent letters of a word."""
    return [
        word[:position] + second + first + word[position + 2 :]
        for position, (first, second) in enumerate(pairwise(word))
        if first != second
    ]
