"""Negations, such as "without" or "anything but", and phrases that only look like one.

`NEGATIONS` contains the negations that occur in the generated texts of the catalogue (a data set of
drawn garments) and that the parser of these texts understands. `negations_in` finds them in a text.
"""

import re
from typing import Literal

from dwc.negation.spelling import spell_out_negations

Tokens = tuple[str, ...]

Reach = Literal["no", "without", "removing"]
"""How many of the things named after a negation are excluded by it.

- "no": only the first thing ("no belt and striped" excludes belts, and asks for stripes).
- "without": all things in a list joined by "or" ("without belt or pockets").
- "removing": all things in a list joined by "or" or "and" ("remove belt and pockets").
"""


def _phrases(text: str) -> tuple[Tokens, ...]:
    """Split a text at commas into phrases, and each phrase into its words."""
    return tuple(tuple(phrase.split()) for phrase in text.split(","))


_BY_REACH: dict[Reach, str] = {
    "no": (
        "no,not,isn't,aren't,wasn't,weren't,can't be,cannot be,shouldn't be,neither,nor,non,"
        "nothing,never,not be,not in,not with,not any,no more,nothing in,"
        "nothing with,instead of,rather than,other than,something other than,anything other than,"
        "everything other than"
    ),
    "without": (
        "without,without any,without anything,sans,except,except for,excluding,anything but,"
        "anything except,everything but,everything except,all but,all except,any colour but,"
        "any color but,any colour except,any color except,free of,does not have,doesn't have,"
        "can't have,cannot have,shouldn't have,"
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
"""Maps each negation, as a tuple of lower-case words, to its reach: how many things it excludes."""
LONGEST_NEGATION = max(map(len, NEGATIONS))
"""The number of words of the longest negation."""

# Regular expression of the verbs that exclude a part or a cut: "lose the belt".
REMOVING = (
    r"remove|lose|drop|minus|get\s+rid\s+of|leave\s+(?:out|off)|take\s+(?:off|away)|ditch|omit|sans"
)

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
# Words that look like a negation but exclude nothing: "not only red", "no problem".
EXCLUDES_NOTHING = re.compile(
    r"\b(not\s+(?:only|just|merely|simply|solely|necessarily|sure)|not\s+bad|do(?:n't|\s+not)\s+forget|no\s+(?:matter|problem|worries"
    r"|doubt|need|idea)|needs?\s+not(?=\s+(?:be|have)\b)|(?:do(?:es)?n't|do(?:es)?\s+not)\s+(?:have|need)"
    r"\s+to(?=\s+(?:be|have)\b)|why\s+not|whether\s+or\s+not|if\s+not)\b",
    re.IGNORECASE,
)
# Phrases that name the only thing that is wanted: "nothing but red", "no other color than red".
ONLY = re.compile(
    r"\b(?:nothing|none|not\s+anything|no\s+colou?rs?|no\s+others?(?:\s+\w+){0,2})"
    r"\s+(?:else\s+|other\s+)?(?:but|except(?:\s+for)?|than)\b",
    re.IGNORECASE,
)


def negations_in(text: str) -> list[Tokens]:
    """Return the negations in a text, in order, each as a tuple of lower-case words.

    If several negations begin at the same word, only the longest is returned: for "without any
    belt" it is ("without", "any").
    """
    words: list[str] = []
    for word in _WORD.findall(spell_out_negations(text.lower().replace("\u2019", "'"))):
        words += word.split("-", 1) if word.startswith("non-") else [word]
    negations = []
    start = 0
    while start < len(words):
        for end in range(min(start + LONGEST_NEGATION, len(words)), start, -1):
            if tuple(words[start:end]) in NEGATIONS:
                negations.append(tuple(words[start:end]))
                start = end
                break
        else:
            start += 1
    return negations


def find_phrases(pattern: re.Pattern[str], text: str) -> list[str]:
    """Return the parts of a text that match a pattern, each once, in lower case.

    White space in a part is reduced to single spaces.

    Args:
        pattern: A pattern with exactly one group. The part that matches the group is returned.
        text: The text.
    """
    matches = (" ".join(match.lower().split()) for match in pattern.findall(text))
    return list(dict.fromkeys(matches))
