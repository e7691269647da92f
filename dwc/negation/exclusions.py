"""What a text excludes: colors, kinds of garments, and details such as hoods."""

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
from dwc.negation.phrases import EXCLUDES_NOTHING, ONLY, REMOVING

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
