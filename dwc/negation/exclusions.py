"""Negations, such as "without", and what they exclude: colors, kinds of garments, and details.

`NEGATIONS` contains the negations that occur in the generated texts of the catalogue (a data set of
drawn garments) and that the parser of these texts understands. `negations_in` finds them in a text,
and `find_exclusions` finds what a text excludes.
"""

import re
from typing import Literal, NamedTuple

from dwc.negation.garment_words import (
    ALIKE_COLORS,
    ANY_COLOR,
    DETAIL,
    KINDS,
    PATTERNS,
    RARE_PATTERNS,
    SHADED_COLOR,
    SMALL_PARTS,
)
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


# Details that models often overlook, although a vector that points towards them is subtracted from
# the query.
_OVERLOOKED_DETAIL = re.compile(
    rf"\b(?:{SMALL_PARTS}|lace-up|bands?|ribbons?|(?:straight|regular|normal)\s+(?:legs|fit|length)"
    r"|round(?:ed)?\s+(?:toes?|necks?|necklines?)|(?:short|low)\s+(?:shafts?|tops?)|low\s+heels?"
    r"|(?:thin|flat)\s+soles?|plain\s+waist|unbelted)\b",
    re.IGNORECASE,
)
# What `find_exclusions` finds after a negation: a color, a kind of garment, a detail, or a list.
# After words such as "except", "and" joins a list as well.
_THING = rf"(?:{DETAIL}|{SHADED_COLOR}|{KINDS})"
_THING_END = (
    r"(?=\s*(?:$|[.,;:!?)\]]|(?:and|or|nor|but|with|without|in|on|from|for|please|that|which|not|no"
    r"|thanks?)\b))"
)
_EXCLUDED = re.compile(
    r"(?<![\w'-])(?P<negation>(?:not|no|never|without|isn't|aren't|neither|nor|instead\s+of|rather\s+than"
    r"|(?:(?:anything|something)\s+)?other\s+than|nothing|avoid|no\s+more"
    r"|(?P<all>(?:anything|everything|all)\s+but|except(?:\s+for)?|excluding"
    rf"|{REMOVING})"
    r"|(?:do(?:es)?n't|(?:do(?:es)?|would)\s+not|wouldn't)\s+(?:want|like|need|have))"
    r"(?:\s+(?:be|want|have|in|any|an?|the|it|pairs?\s+of))*)\s+"
    rf"(?P<things>{_THING}(?:\s*,?\s*\b(?:or|nor|(?(all)and|or))\s+(?:in\s+|an?\s+|the\s+)?{_THING})*){_THING_END}",
    re.IGNORECASE,
)
_ANY_THING = re.compile(
    rf"(?<![\w-])(?:(?P<detail>{DETAIL})|(?P<kind>{KINDS})|{SHADED_COLOR})(?![\w-])", re.IGNORECASE
)
_PATTERN = re.compile(rf"(?:{'|'.join(PATTERNS)}|{RARE_PATTERNS})", re.IGNORECASE)
_NEGATED = re.compile(r"(?<![\w'-])(?:not|never|nothing|no|nor|without|\w+n't)\s+(?:be\s+)?$", re.I)


class Exclusion(NamedTuple):
    """A property of clothes that a text excludes.

    Attributes:
        name: The name in lower case, such as "dark blue", "dress" or "wide brim".
        type: "color", "pattern", "kind" for a kind of garment, or "detail" for a part or a cut.
    """

    name: str
    type: Literal["color", "pattern", "kind", "detail"]


def find_exclusions(text: str, keep_overlooked: bool = False) -> tuple[list[Exclusion], str]:
    """Find the colors, kinds of garments and details (such as hoods) that a text excludes.

    The result does not include:

    - a color, if the text also asks for a similar color: "blue, not navy";
    - an exclusion that is negated itself: "not without pockets";
    - phrases that exclude nothing: "not only red".

    Args:
        text: The text that the model receives.
        keep_overlooked: Whether the returned text keeps the phrases that exclude small details,
            such as zips. Models often overlook these phrases.

    Returns:
        Two values: the exclusions, without repetition, in the order of the text; and the text
        without the phrases that state these exclusions.
    """
    ignored = [
        match.span() for pattern in (ONLY, EXCLUDES_NOTHING) for match in pattern.finditer(text)
    ]
    rest, end = "", 0
    exclusions: dict[Exclusion, None] = {}
    wanted = {color.lower() for color in ANY_COLOR.findall(_EXCLUDED.sub(" ", text))}
    for match in _EXCLUDED.finditer(text):
        start, stop = match.span()
        found = [_exclusion(thing) for thing in _ANY_THING.finditer(match["things"])]
        is_ignored = any(first < stop and start < last for first, last in ignored)
        if is_ignored or _NEGATED.search(text[:start]) or _is_like_wanted(found, wanted):
            continue
        exclusions.update(dict.fromkeys(found))
        if not (keep_overlooked and _OVERLOOKED_DETAIL.search(match["things"])):
            rest += text[end:start]
            end = stop
    return list(exclusions), rest + text[end:]


def _exclusion(thing: re.Match[str]) -> Exclusion:
    """Return the property that a match names, with its type, as an `Exclusion`.

    Args:
        thing: A match of `_ANY_THING`, the pattern of names of colors, garments and details.
    """
    name = " ".join(thing[0].lower().split())
    if re.fullmatch(KINDS, name):  # "heels", "tops"
        return Exclusion(name, "kind")
    if thing["detail"]:
        return exclusion_of(name)
    return Exclusion(name, "kind" if thing["kind"] else "color")


def exclusion_of(name: str) -> Exclusion:
    """Return an `Exclusion` of type "pattern" or "detail", given the name of the property.

    Args:
        name: The name in lower case, such as "stripes" or "hood".
    """
    return Exclusion(name, "pattern" if _PATTERN.fullmatch(name) else "detail")


def _is_like_wanted(exclusions: list[Exclusion], wanted: set[str]) -> bool:
    """Return whether an excluded color is a wanted color, or is similar to a wanted color.

    Args:
        exclusions: The excluded properties; those without a color are ignored.
        wanted: The colors that the text asks for, in lower case.
    """
    colors = {color.lower() for item in exclusions for color in ANY_COLOR.findall(item.name)}
    return not colors.isdisjoint(wanted) or any(
        not alike.isdisjoint(colors) and not alike.isdisjoint(wanted) for alike in ALIKE_COLORS
    )
