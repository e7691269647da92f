"""What a rule for typed texts is, and how rules are applied to a text."""

import re
from collections.abc import Callable, Iterable
from functools import wraps

from dwc.lazy_pattern import compile_lazily
from dwc.modeling.rephrasing_rules.vocabulary import ANY_NEGATION
from dwc.negation.phrases import ONLY

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
