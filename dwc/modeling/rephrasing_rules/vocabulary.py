"""What the rules for typed texts share: words, parts of regular expressions, and the class `Rule`.

The words are names of values (colors, patterns and parts), words that exclude, and what may stand
before, between and after these.
"""

import re
from collections.abc import Callable, Iterable
from functools import wraps

from dwc.lazy_pattern import compile_lazily
from dwc.negation.exclusions import NEGATIONS, ONLY
from dwc.negation.garment_words import COUNTED_KINDS, DETAIL, KINDS, PARTS, PATTERNS, SHADED_COLOR

# Plurals of garments' names. A model has seen the singular far more often: of the first 12 for
# "tops", 1 is a top, for "top" 9. Pairs such as "trousers" and "shoes" have no singular here.
_PLURAL = compile_lazily(
    rf"(?<![\w'-])({COUNTED_KINDS})(?:(?<=dress)es|(?<!dress)s)(?![\w'-])", re.IGNORECASE
)

# Regular expression of a value that has one opposite -> phrase that asks for the opposite.
OPPOSITES = {
    "sleeveless": "with sleeves",
    "plain": "with a pattern",
    "sleeves?": "without sleeves",
}

# Regular expression of a pattern or part -> phrase that excludes it.
EXCLUDED_THINGS = PATTERNS | PARTS
_THING = "|".join(EXCLUDED_THINGS)
OPPOSITE = "|".join(OPPOSITES)
# A color, a pattern, a part or a word with an opposite; `VALUE` may have quotes or brackets, too.
BARE_VALUE = rf"(?:{SHADED_COLOR}(?:s|es)?|{_THING}|{OPPOSITE})"
VALUE = rf"(?:{BARE_VALUE}|[\"'*]{BARE_VALUE}[\"'*]|\({BARE_VALUE}\)|\[{BARE_VALUE}\])"
VALUE_LIST = rf"{BARE_VALUE}(?:\s+(?:or|and|nor)\s+{BARE_VALUE})*"

# Phrases that exclude all values of a list, even if "and" joins them: "avoid red and blue".
EXCLUDING_VERBS = (
    r"avoid(?:ing)?|exclude|eliminate|ban|reject|hates?|dislikes?|loathes?|detests?|despises?"
    r"|can't\s+stand|sick\s+of|tired\s+of|fed\s+up\s+with|not\s+an?\s+(?:\w+\s+)?fan\s+of"
    r"|(?:do(?:n't|\s+not)|does(?:n't|\s+not)|did(?:n't|\s+not)|would(?:n't|\s+not))\s+"
    r"(?:really\s+|even\s+|particularly\s+)?(?:like|love|need|wear|fancy|enjoy|care\s+for|go\s+for)"
    r"|not\s+(?:into|keen\s+on)|(?:can|could)\s+do\s+without|(?:would\s+)?rather\s+not(?:\s+have)?"
    r"|ain't|unlike|zero|almost\s+no|hardly\s+any|barely\s+any|devoid\s+of|lacking|lacks?|no\s+need\s+for"
    r"|(?:cut|chop)\s+off|apart\s+from|any\s+(?:but|except(?:\s+for)?)|every\s+(?:but|except)|bar|barring"
    r"|(?:bored|fed\s+up|done|finished|(?<!\bsee[\s-])through)\s+(?:of|with)|allergic\s+to|refuses?\s+to\s+wear|never\s+wears?"
    r"|[^\W\d_]+\s+(?:well\s+|far\s+)?(?:away\s+from|clear\s+of)|tone\s+down"
    r"|(?:(?:have\s+had|had|have|got)\s+)?(?:more\s+than\s+)?enough|had\s+it\s+with|(?:(?:have\s+)?gone|go|went)\s+off|beware\s+of"
    r"|(?:refrain|abstain|desist)(?:ing)?\s+from"
    r"|(?:say\s+)?(?:good)?bye(?:\s+bye)?\s+to|weary\s+of|wary\s+of|averse\s+to|opposed\s+to|shun|boycott|veto|abhor"
    r"|(?:wardrobe|closet)\s+is\s+full\s+of|look(?:s|ed)?\s+(?:so\s+|really\s+)?"
    r"(?:awful|terrible|horrible|bad|ugly|pale|fat|old|silly)\s+in"
    r"|excepting|save\s+for|aside\s+from|(?:with\s+)?(?:the\s+)?exception\s+of"
)
EXCLUDING_MODALS = (
    r"no\s+longer|(?:(?:that|which|it)\s+)?(?:should|must|may|can|could|will|would)\s+"
    r"(?:not|never)\s+(?:be|have)"
)
_SWAPPING = {("replace",), ("swap",)}  # "replace the belt with buttons"


def pattern_of(phrases: Iterable[tuple[str, ...]]) -> str:
    """Return a regular expression that matches any of the phrases; longer phrases are tried first.

    Args:
        phrases: The phrases, each a tuple of words.
    """
    longest_first = sorted(phrases, key=lambda phrase: -len(phrase))
    return "|".join(r"\s+".join(map(re.escape, phrase)) for phrase in longest_first)


# Negations that exclude all values of a list joined by "and", and those that exclude the first one.
NEGATIONS_OF_ALL = {
    phrase
    for phrase, reach in NEGATIONS.items()
    if reach == "removing" or not {"but", "except", "excluding"}.isdisjoint(phrase)
} - _SWAPPING
NEGATIONS_OF_FIRST = NEGATIONS.keys() - NEGATIONS_OF_ALL - _SWAPPING
ANY_NEGATION = f"{EXCLUDING_VERBS}|{EXCLUDING_MODALS}|{pattern_of(NEGATIONS)}"
# What may stand before an excluding phrase, between it and the value, and after a color.
PERSON = (
    r"(?:(?:please|(?:i|we)"
    r"(?:'d|'m|'re|'ve|\s+(?:would|will|really|just|am|are|so))*)\s+)?"
)
BETWEEN = (
    r"(?:(?:any|all|these|those|an?|the|it|them|to\s+be|to\s+have|in|with|of|wear|want|have|anything|something"
    r"|shades?\s+of)\s+)*"
)
AFTER_COLOR = r"(?:\s+(?:ones?|colou?rs?|colou?red|clothes|clothing|things?|garments?|in\s+it))?"
# The end of a phrase: the end of the text, punctuation, or a word that begins another phrase.
PHRASE_END = (
    r"(?=\s*(?:$|[.,;:!?)\]\"']|(?:and|or|but|with|without|in|on|from|for|please|at|which|that|because"
    r"|no|not)\b))"
)
SLEEVE_LENGTHS = r"(?:long|short|elbow|half|cap)"
ANY_PART = "|".join(PARTS)
ADJECTIVE_ENDINGS = ("ed", "less", "y", "floral", "plain")
PATTERN_ADJECTIVES = [
    name
    for names in PATTERNS
    for name in names.split("|")
    if name.endswith((*ADJECTIVE_ENDINGS, "plaid"))
]
# "is not ok", "not wanted", "are ugly", "are out".
IS_REJECTED = (
    r"(?:(?:(?:(?:is|are)\s+)?(?:not|never)|isn't|aren't)\s+(?:ok(?:ay)?|good|wanted|allowed|fine"
    r"|acceptable|welcome|nice|needed|an?\s+option|for\s+me|my\s+\w+)"
    r"|(?:is|are|looks?)\s+(?:so\s+|too\s+|very\s+|really\s+)?(?:ugly|hideous|awful|horrible|terrible"
    r"|boring|bad|disgusting|cheap|tacky|childish)|(?:(?:is|are)\s+not|isn't|aren't)\s+for\s+\w+"
    r"|(?:is|are)\s+(?:(?:way|far|a\s+bit|simply|just)\s+)*too\s+much"
    r"|(?:(?:really\s+)?clash(?:es)?\s+with|do(?:es)?n't\s+(?:suit|flatter|go\s+with)|never\s+suits?)\s+(?:my\s+)?\w+"
    r"|(?:makes?|gives?)\s+(?:me|her|him|us)\s+(?:look\s+)?(?:like\s+)?(?:an?\s+)?\w+"
    r"|(?:is|are)\s+(?:so\s+)?last\s+(?:year|season)|(?:is|are)\s+a\s+(?:bit|little)\s+much"
    r"|(?:is|are)\s+out(?:\s+this\s+(?:year|season))|(?:isn't|aren't)\s+(?:my|her|his)\s+\w+"
    r"|(?:is|are)\s+(?:out(?:\s+of\s+the\s+question)?|an?\s+(?:no|no[\s-]go|turn[\s-]?off|deal[\s-]?breaker)|unacceptable"
    r"|taboo|off\s+(?:the\s+table|limits))|off\s+(?:the\s+table|limits)|needs?\s+not\s+apply|gets?\s+on\s+my\s+nerves"
    r"|(?:(?:has|have|had|needs?|ought)\s+(?:got\s+)?to|must|should|can)\s+(?:go(?:\s+away)?|be\s+gone)"
    r"(?!\s+(?:with|well|to|under|over|from|on))|(?:(?:is|are|be)\s+)?gone)"
)
ANY_THING_NAME = rf"(?:{DETAIL}|{BARE_VALUE}|{KINDS})"


def is_same_kind(name: str, other: str) -> bool:
    """Return whether two names, in lower case, differ at most in the number: "dress", "dresses"."""
    name, other = (make_singular(kind).replace("scarves", "scarf") for kind in (name, other))
    return name == other or f"{name}s" == other or name == f"{other}s"  # "shoe", "shoes"


def make_singular(text: str) -> str:
    """Return a text with the names of garments in the singular: "tops" becomes "top".

    Models know the singular of such names better than the plural.
    """
    return _PLURAL.sub(r"\1", text)


def is_plural(name: str) -> bool:
    """Return whether a name is a plural, such as "shoes"; "dress" is none."""
    return name.endswith("s") and not name.endswith("ss")


# Text before a phrase that shows that the phrase is negated itself, as in "not without a belt".
_NEGATED = compile_lazily(
    rf"(?<![\w'-])(?:not|never|nothing|no|nor|without|\w+n't|{ANY_NEGATION})\s+(?:be\s+)?$",
    re.IGNORECASE,
)
# Text after which "but not red" would be wrong and "not red" is used: "that is", "no stripes,".
_NO_BUT = compile_lazily(
    r"(?:^|[.!?:(]|\b(?:is|are|be|that|which|and|but|or|nor|if|why|with|in|it's|i'm|we're|looks?)"
    r"|(?:^|[,;.]|\band)\s*(?:no|not|without)\b[^,;.]*)[\s,;]*$",
    re.IGNORECASE,
)
# Before "in plain": a verb, or a pronoun that needs one.
_BEFORE_PLAIN = compile_lazily(r"\b(?:(is|are|be|looks?)|that|which|it)\s*$", re.IGNORECASE)

Rephrase = Callable[[re.Match[str]], str | None]
"""Function that returns the phrase that replaces a match, or None to keep the match."""
Rule = tuple[re.Pattern[str], Rephrase]
"""A pattern, and the function that rephrases its matches."""


def rephrase_all(text: str, rules: Iterable[Rule], changes: dict[str, str]) -> str:
    """Apply rules to a text, one after the other; return the text, and record the changes.

    Args:
        text: The text.
        rules: The rules, in the order in which they are applied.
        changes: A dict to which this function adds the replacement of each replaced phrase.
    """
    for pattern, rephrase in rules:
        done, end = "", 0
        only: list[tuple[int, int]] | None = None
        for match in pattern.finditer(text):
            if only is None:
                only = [part.span() for part in ONLY.finditer(text)]
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
            if read.startswith("in plain") and (verb := _BEFORE_PLAIN.search(before)):
                read = read.removeprefix("in ") if verb[1] else f"is {read.removeprefix('in ')}"
            done, end = before + read, stop
            changes[typed] = read
        text = done + text[end:]
    return text


def unless_negated(rephrase: Rephrase) -> Rephrase:
    """Decorate a function that rephrases a match, so that phrases after a negation stay unchanged.

    The decorated function returns None if a negation such as "not" stands directly before the
    match, as in "not without a belt".
    """

    @wraps(rephrase)
    def rephrase_unless_negated(match: re.Match[str]) -> str | None:
        return None if _NEGATED.search(match.string[: match.start()]) else rephrase(match)

    return rephrase_unless_negated


def text_around(match: re.Match[str]) -> str:
    """Return the text of a match without the matched part."""
    return match.string[: match.start()] + match.string[match.end() :]
