"""Negations: phrases that exclude something, their scope, and those that a vocabulary lacks.

`NEGATIONS` has the negations that the catalogue's parser understands and its generators use. A
model understands only those that it was trained on. The bundled checkpoints until now know "no",
"not" and "without", so that they may return red garments for "anything but red".
`unknown_function_words` lists the negations in a text that a model has not learned; `Searcher` adds
`negation_note` to the notes of its search result, and the page shows it there.
"""

import re
from collections.abc import Callable
from typing import Literal

Tokens = tuple[str, ...]

Reach = Literal["no", "without", "removing"]
"""What a negation excludes. "no": only the next thing; "without": also each thing of a list with
"or"; "removing": also each thing of a list with "and"."""


def _phrases(text: str) -> tuple[Tokens, ...]:
    """Split comma-separated phrases, each into its words."""
    return tuple(tuple(phrase.split()) for phrase in text.split(","))


_BY_REACH: dict[Reach, str] = {
    "no": (
        "no,not,isn't,aren't,non,nothing,never,not be,not in,not with,not any,no more,nothing in,"
        "nothing with,instead of,rather than,other than,something other than,anything other than,"
        "everything other than"
    ),
    "without": (
        "without,without any,without anything,sans,except,except for,excluding,anything but,"
        "anything except,everything but,everything except,all but,all except,any colour but,"
        "any color but,any colour except,any color except,free of,does not have,doesn't have,"
        "do not have,don't have,don't want,do not want,i don't want,i do not want"
    ),
    "removing": (
        "minus,remove,lose,drop,get rid of,leave out,leave off,take off,take away,ditch,delete,"
        "omit,skip,replace,swap"
    ),
}
NEGATIONS: dict[Tokens, Reach] = {
    phrase: reach for reach, text in _BY_REACH.items() for phrase in _phrases(text)
}
"""Maps every negation, as a tuple of lower-case words, to its reach."""
LONGEST_NEGATION = max(map(len, NEGATIONS))

# Negations whose words also occur in other phrases ("as a skirt instead", "a pair of"). Each counts
# as known only if the vocabulary also has the given word, which comes from training on negations.
_LEARNED_WITH: dict[Tokens, str] = {("instead", "of"): "than"}

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_MINUS = re.compile(r"(?:(?<=^)|(?<=[\s,;(]))[-\u2212](?=[^\W\d_])(?!(?:no|not|without)\b)")


def spell_out_minus(text: str) -> str:
    """Replace a leading minus by "without": "dress -stripes" becomes "dress without stripes".

    Only a hyphen or minus sign at the start of a word is replaced. "long-sleeved", "a - b" and a
    dash before a negation ("longer -no belt") stay unchanged.
    """
    return _MINUS.sub("without ", text)


def negations_in(text: str) -> list[Tokens]:
    """Return the negations of a text in order; where several begin at a word, only the longest."""
    words: list[str] = []
    for word in _WORD.findall(spell_out_minus(text).lower().replace("\u2019", "'")):
        words += word.split("-", 1) if word.startswith("non-") else [word]
    found = []
    start = 0
    while start < len(words):
        for end in range(min(start + LONGEST_NEGATION, len(words)), start, -1):
            if tuple(words[start:end]) in NEGATIONS:
                found.append(tuple(words[start:end]))
                start = end
                break
        else:
            start += 1
    return found


def unknown_function_words(text: str, is_known: Callable[[str], bool]) -> list[str]:
    """List the negations of a text that a model has not learned.

    Args:
        text: The text as typed.
        is_known: Function that returns whether the model's vocabulary has a given word.

    Returns:
        Each such negation once, in order, in lower case: "without any", "minus". Empty if all are
        known.
    """
    unknown: dict[str, None] = {}
    for phrase in negations_in(text):
        needed = [*phrase, _LEARNED_WITH.get(phrase, phrase[0])]
        if not all(is_known(word) for word in needed):
            unknown[" ".join(phrase)] = None
    return list(unknown)


def negation_note(text: str, is_known: Callable[[str], bool]) -> str | None:
    """Return a note on negations that the model has not learned and their replacement, or None."""
    unknown = unknown_function_words(text, is_known)
    if not unknown:
        return None
    quoted = ", ".join(f'"{phrase}"' for phrase in unknown)
    known = [word for word in ("no", "without", "not") if is_known(word)]
    advice = f' Use "{known[0]}".' if known else ""
    return (
        f"The model has not learned {quoted}: the results may have what the words exclude.{advice}"
    )
