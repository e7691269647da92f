"""Phrases with a negation that ask for something: double negations, and idioms such as "why not".

A model takes one negation of a text into account, if any: "no t-shirt that is not black" finds
everything but black t-shirts. `WISHES_WITH_NEGATIONS` are the rules that read such a phrase as the
wish that it is. `find_double_negations` finds the phrases that no rule reads.
"""

import re
from collections.abc import Callable

from dwc.lazy_pattern import compile_lazily
from dwc.negation.exclusions import find_phrases
from dwc.negation.garment_words import KINDS, PARTS, PATTERNS, SHADED_COLOR, find_kind

_NOT_BE = r"(?:(?:is|are|be|was|were|am)\s+(?:not|never)|(?:is|are|was|were|ai)n't|'s\s+not)"
_NOT_HAVE = (
    r"(?:(?:do(?:es)?\s+not|do(?:es)?n't)\s+have|ha(?:s|ve)\s+no|without|lacks?|lacking)"
    r"(?:\s+(?:any|an?|the))?"
)
_ONES = r"(?:\s+(?:ones?|colou?rs?|garments?|things?|clothes))?"
_ADJECTIVE = (
    rf"(?:{SHADED_COLOR}|striped|stripy|floral|checked|checkered|chequered|dotted|spotted"
    r"|printed|patterned|plaid|plain|hooded|collared|buttoned|zipped|belted|sleeveless)"
)
_NOUN = rf"(?:{'|'.join((*PATTERNS, *PARTS))}|sleeves?)"
_VALUE = (
    rf"(?:(?:in|of)\s+)?(?:an?\s+|the\s+|any\s+)?"
    rf"(?:(?P<adjective>{_ADJECTIVE})(?![\w'-]){_ONES}|(?P<noun>{_NOUN})(?![\w'-]))"
)
_VERBS = (
    r"(?:(?:i|we)\s+)?(?:(?:do(?:es)?n't|do(?:es)?\s+not|never|won't|will\s+not)\s+"
    r"(?:want|like|need|wear|buy|(?:show|give|find|send|get|bring)\s+(?:me|us)|show|include|suggest)"
    r"|avoid|exclude|hide|remove|skip|omit|ignore|(?:leave|filter|rule|throw)\s+out|hate|dislike)"
)
# "no", "not a single", "I don't want a".
_REFUSED = (
    rf"(?:no|not\s+(?:an?|any|one)|never|without(?=\s+an?y?\s)|{_VERBS})"
    r"(?:\s+(?:single|any|an?|the|to\s+see|other|of|all|those))*"
)
_THING = rf"(?:(?P<kind>{KINDS})|(?:any|some|every)?things?|(?:any)?ones?|clothes|items?|garments?)"
_END = r"(?=\s*(?:$|[.,;:!?)\]]|(?:and|or|but|with|without|in|for|please)\b))"
_DOUBLE = compile_lazily(
    rf"(?<![\w'-])(?:(?:{_REFUSED})\s+{_THING}|nothing|none)(?:\s+(?:at\s+all|of\s+them))?\s*,?\s+(?:"
    # "that is not black", "that isn't in black", "which has no stripes"
    rf"(?:that|which|who)\s*(?:{_NOT_BE}|not|{_NOT_HAVE})"
    # "that is any color but black"
    r"|(?:that|which)\s+(?:(?:is|are|comes?)\s+)?(?:in\s+)?any(?:thing)?(?:\s+(?:other\s+)?colou?rs?)?"
    r"\s+(?:but|except(?:\s+for)?|other\s+than|than)"
    # "unless it is black"
    r"|unless\s+(?:it|they|that)(?:'s|'re|\s+(?:is|are|comes?|has|have))"
    rf"|{_NOT_BE})\s+{_VALUE}{_END}",
    re.IGNORECASE,
)
# "no jumper without stripes", "no t-shirts except green ones". "Not a shirt without sleeves" may
# mean two wishes, and "no shirt but green" as well.
_NO_KIND = (
    rf"(?<![\w'-])(?:no|never|{_VERBS})(?:\s+(?:any|an?|the|other))*\s+(?P<kind>{KINDS})\s*,?\s+"
)
_NO_KIND_WITHOUT = compile_lazily(
    rf"{_NO_KIND}(?:(?:without|lacking)(?:\s+(?:any|an?|the))?|except(?:\s+for)?|excepting"
    rf"|other\s+than|apart\s+from|aside\s+from|but(?=[^.,;]*\bones?\b))\s+{_VALUE}{_END}",
    re.IGNORECASE,
)
# "no non-green t-shirt", "no unstriped shirt".
_NO_NON = compile_lazily(
    rf"(?<![\w'-])(?:{_REFUSED})\s+(?:non[\s-]?|not\s+|un-?(?=[^\W\d_]+ed\b)){_VALUE}\s+(?P<kind>{KINDS}){_END}",
    re.IGNORECASE,
)
# "not not green", "never not green".
_NOT_NOT = compile_lazily(
    rf"(?<![\w'-])(?:(?:is|are)\s+)?(?:not|never|isn't|aren't)\s+(?:not\s+|non[\s-]?){_VALUE}{_END}",
    re.IGNORECASE,
)
# Phrases that recommend what follows.
_CANNOT = (
    r"(?:(?:i|we|you|one)\s+)?(?:can't|cannot|can\s+not|couldn't|could\s+not|(?:can|could)\s+never)"
)
_RECOMMENDING = (
    r"(?:and\s+|so\s+)?why\s+not(?:\s+(?:try|have|wear|take|get))?",
    rf"{_CANNOT}\s+(?:ever\s+)?(?:get|have|own)\s+enough(?:\s+of)?",
    rf"{_CANNOT}\s+(?:ever\s+)?(?:get|have|own)\s+too\s+(?:much|many)(?:\s+of)?",
    rf"{_CANNOT}\s+(?:really\s+|ever\s+)?(?:go\s+wrong\s+with|resist|(?:do|live|be)\s+without"
    r"|say\s+no\s+to|wait\s+(?:for|to\s+(?:wear|have|get|see)))",
    r"(?:there(?:'s|\s+is)\s+)?(?:no\s+such\s+thing\s+as|never)\s+(?:too\s+(?:much|many)|enough)(?:\s+of)?",
    r"(?:(?:i|we)\s+)?(?:wouldn't|would\s+not|won't|will\s+not|would\s+never|never)\s+say\s+no\s+to",
    r"(?:there(?:'s|\s+is)\s+)?nothing\s+(?:beats|better\s+than|wrong\s+with|against)",
    r"(?:(?:i'm|we're|am|are)\s+)?not\s+(?:averse|opposed)\s+to",
    r"(?:there(?:'s|\s+is)\s+)?no\s+(?:harm\s+in|objections?\s+to)",
)
_RECOMMENDED = compile_lazily(
    rf"(?<![\w'-])(?:{'|'.join(_RECOMMENDING)})(?=\s+[^\W\d_])", re.IGNORECASE
)
# A double negation that no rule reads: "no t-shirt that is not linen".
_UNREAD = compile_lazily(
    rf"(?<![\w'-])((?:{_REFUSED}|nothing|none)(?:\s+(?!that\b|which\b)[\w'-]+){{0,3}}\s+"
    rf"(?:that|which|who)\s*(?:{_NOT_BE}|not|do(?:es)?n't|do(?:es)?\s+not|ha(?:s|ve)\s+no|lacks?)"
    r"(?:\s+[\w'-]+){1,2})(?![\w'-])",
    re.IGNORECASE,
)


def _rephrase_double(match: re.Match[str]) -> str | None:
    """Return what a double negation asks for: "black t-shirt" for "no t-shirt that is not black".

    Without a kind of garment, it is "only black" or "with stripes". The result is None, and the
    phrase stays, if the text names another garment: "dress, no shirt that is not black" may ask for
    two things.
    """
    kind = (match.groupdict().get("kind") or "").lower()
    others = match.string[: match.start()] + match.string[match.end() :]
    if kind and find_kind(others):
        return None
    if noun := match["noun"]:
        return f"{kind} with {noun}".strip().lower()
    value = " ".join(match["adjective"].lower().split())
    return f"{value} {kind}" if kind else f"only {value}"


WISHES_WITH_NEGATIONS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str | None]], ...] = (
    (_RECOMMENDED, lambda match: "I want"),
    (_DOUBLE, _rephrase_double),
    (_NO_KIND_WITHOUT, _rephrase_double),
    (_NO_NON, _rephrase_double),
    (_NOT_NOT, lambda match: (match["adjective"] or f"with {match['noun']}").lower()),
)
"""Pairs of a pattern and a function, which returns the wish, or None to keep the phrase."""


def find_double_negations(text: str) -> list[str]:
    """Return the phrases with two negations in a text, each once, in lower case."""
    return find_phrases(_UNREAD, text)
