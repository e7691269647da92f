"""The words that exclude, how far each reaches, and which of them a vocabulary lacks.

`NEGATIONS` is what the catalogue's parser reads and what its generators say. A model knows only
what it was trained on: the bundled checkpoints until now on "no", "not" and "without", so that they
may answer "anything but red" with red. `unknown_function_words` lists such words in a text;
`Searcher` puts `negation_note` among the notes of its answer, and the page shows it there.
"""

import re
from collections.abc import Callable
from typing import Literal

Tokens = tuple[str, ...]

Reach = Literal["no", "without", "removing"]
"""What a negation excludes: the next thing alone; also a list with "or"; also a list with "and"."""


def _phrases(text: str) -> tuple[Tokens, ...]:
    """Comma-separated phrases as tokens."""
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
"""Every negation as its words in lower case, with its reach."""
LONGEST_NEGATION = max(map(len, NEGATIONS))

# Their words also stand in other phrases ("as a skirt instead", "a pair of"): the negation counts
# as known only beside a word that such a training has as well.
_LEARNED_WITH: dict[Tokens, str] = {("instead", "of"): "than"}

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_MINUS = re.compile(r"(?:(?<=^)|(?<=[\s,;(]))[-\u2212](?=[^\W\d_])(?!(?:no|not|without)\b)")


def spell_out_minus(text: str) -> str:
    """Write a leading minus as a word: "dress -stripes" becomes "dress without stripes".

    Only a hyphen or minus sign at the start of a word counts; "long-sleeved" and "a - b" stay, and
    a dash before a negation ("longer -no belt").
    """
    return _MINUS.sub("without ", text)


def negations_in(text: str) -> list[Tokens]:
    """The negations of a text in their order, the longest where one begins another."""
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
        is_known: Whether the model's vocabulary has a word.

    Returns:
        Each negation once, in order, in lower case: "without any", "minus". Empty where all are
        known.
    """
    unknown: dict[str, None] = {}
    for phrase in negations_in(text):
        needed = [*phrase, _LEARNED_WITH.get(phrase, phrase[0])]
        if not all(is_known(word) for word in needed):
            unknown[" ".join(phrase)] = None
    return list(unknown)


def negation_note(text: str, is_known: Callable[[str], bool]) -> str | None:
    """Say which negations of a text the model has not learned, and what to write instead."""
    unknown = unknown_function_words(text, is_known)
    if not unknown:
        return None
    quoted = ", ".join(f'"{phrase}"' for phrase in unknown)
    known = [word for word in ("no", "without", "not") if is_known(word)]
    advice = f' Use "{known[0]}".' if known else ""
    return (
        f"The model has not learned {quoted}: the results may have what the words exclude.{advice}"
    )
