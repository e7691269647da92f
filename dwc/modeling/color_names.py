"""Names that contain the name of a color, such as "Black Friday".

A model takes the color in such a name for the color of the garment: of the first 12 photographs for
"Black Friday deal: white shirt", none is a white shirt. `leave_out_colors_of_names` leaves out the
color of known names. `find_color_names` finds other phrases that look like a name.
"""

import re

from dwc.modeling.text_cleaning import FUNCTION_WORDS
from dwc.negation.garment_words import ANY_COLOR, ANY_PATTERN, COLORS, DETAIL, KINDS, PARTS

# Colors of names in any letter case, and "cyber".
_DAYS_AND_OCCASIONS = (
    r"(?:black|cyber|green|blue|red)(?=\s+(?:friday|monday|wednesday)s?\b)",
    r"white(?=\s+(?:christmas|weddings?|elephant)\s*(?:$|[.,;:!?)]))",  # "a white wedding dress"
    r"black(?=\s+tie\s+(?:event|dinner|party|wedding|gala|do|ball|dress\s+code|affair|occasion|night)s?\b)",
    r"red(?=\s+(?:nose\s+day\b|carpets?\s*(?:$|[.,;:!?)]|event|gala|premiere|party|dinner)))",
    r"green(?=\s+(?:cards?|new\s+deal)\b)",
    r"(?:blue|white|pink)(?=\s+collar\s+(?:job|worker|work|crime|profession)s?\b)",
    r"black(?=\s+owned\b)",
)
# Colors of names only if these are capitalized: "a red cross" may be a print.
_CAPITALIZED = (
    r"Red(?=\s+(?:Cross|Bull|Sox|Wings)\b)",
    r"White(?=\s+(?:House|Sox|Company)\b)",
    r"Black(?=\s+(?:Diamond|Sabbath|Lives\s+Matter|Widow|Forest|Sea)\b)",
    r"Pink(?=\s+(?:Floyd|Panther)\b)",
    r"Green(?=\s+(?:Bay|Day|Party)\b)",
    r"Orange(?=\s+County\b)",
    r"Yellow(?=\s+Pages\b)",
    r"Purple(?=\s+(?:Label|Heart|Rain)\b)",
    r"Navy(?=\s+(?i:seals?)\b)",
    r"(?<=\bDeep\s)Purple",
    r"(?<=\bOld\s)Navy",
    rf"(?<=\bOff[\s-])White(?=\s+(?i:{COLORS})\b)",
)
_COLOR_OF_NAME = re.compile(
    rf"(?<![\w'])(?:(?i:{'|'.join(_DAYS_AND_OCCASIONS)})|{'|'.join(_CAPITALIZED)})(?![\w'-])\s*"
)
# A capitalized color before another capitalized word: "Pink Ladies".
_COLOR = "|".join(color.capitalize() for color in COLORS.replace("gr[ea]y", "gray|grey").split("|"))
_LIKE_NAME = re.compile(rf"(?<![\w'-])((?:{_COLOR})\s+(?P<other>[A-Z][a-z]+))(?![\w'-])")
_OF_CLOTHES = re.compile(
    rf"(?:{KINDS}|{DETAIL}|{'|'.join(PARTS)}|{COLORS}|plain|maxi|midi|mini|long|short|size"
    rf"|small|medium|large|{'|'.join(sorted(FUNCTION_WORDS))})",
    re.IGNORECASE,
)
_FIRST = re.compile(r"(?:^|[.!?:])\W*$")
_CAPITAL = re.compile(r"(?<![\w'-])[A-Z]")
_SMALL = re.compile(r"(?<![\w'-])[a-z]")


def leave_out_colors_of_names(text: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Leave out the color of names: "Black Friday: white shirt" becomes "Friday: white shirt".

    Returns:
        The new text, and pairs of a name, up to its first other word, and what is left of it.
    """
    read: dict[str, str] = {}

    def leave_out(match: re.Match[str]) -> str:
        before = re.search(r"\b(?:Deep|Old|Off)[\s-]$", match.string[: match.start()])
        after = re.match(r"\w+", match.string[match.end() :])
        rest = before[0].strip(" -") if before else after[0] if after else ""
        read[f"{before[0]}{match[0].strip()}" if before else f"{match[0]}{rest}"] = rest
        return ""

    return _COLOR_OF_NAME.sub(leave_out, text), tuple(read.items())


def find_color_names(text: str) -> list[tuple[str, str]]:
    """Return phrases of a text that look like a name, each with its color: ("Pink Ladies", "pink").

    Such a phrase is a capitalized color before another capitalized word that is no word for
    clothes. There are none in a text whose words are mostly capitalized. The first word of a
    sentence is capitalized anyway, so the text must name another color then.

    Args:
        text: A text without the colors of known names.
    """
    if len(_CAPITAL.findall(text)) > len(_SMALL.findall(text)) + 1:
        return []
    return [
        (" ".join(match[1].split()), match[1].split()[0].lower())
        for match in _LIKE_NAME.finditer(text)
        if not _OF_CLOTHES.fullmatch(match["other"])
        and not ANY_PATTERN.fullmatch(match["other"])
        and (not _FIRST.search(text[: match.start()]) or ANY_COLOR.search(text, match.end()))
    ]
