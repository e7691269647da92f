"""Words for colors that a model takes wrongly: in names, and in other languages.

A model takes the color in such a name for the color of the garment: of the first 12 photographs for
"Black Friday deal: white shirt", none is a white shirt. `leave_out_colors_of_names` leaves out the
color of known names. `find_color_names` finds other phrases that look like a name.

Of colors in other languages beside English words, such as "t-shirt rose" or "not azul", a model
knows few, and some in another sense: of the first 12 photographs for "t-shirt noir", 1 is black.
`read_foreign_colors` replaces them with the English colors.
"""

import re
import string
from collections.abc import Callable

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


# English color -> its names in French, Spanish, Italian, Portuguese, German, Dutch, Swedish, Danish
# and Polish. Names that are English words, or that are typed for them ("wit" for "with", "rod",
# "viola"), are left out. Accents were removed before.
_COLORS = {
    "black": "noir noire noirs noires negro negra negros negras nero nera neri nere preto preta"
    " schwarz schwarze schwarzer schwarzes schwarzen zwart zwarte svart svarta czarny czarna",
    "white": "blanc blanche blancs blanches blanco blanca blancos blancas bianco bianca bianchi"
    " bianche branco branca weiss weisse weisser weisses weissen witte vita hvid hvit bialy biala",
    "red": "rouge rouges rojo roja rojos rojas rosso rossa rossi rosse vermelho vermelha rot rote"
    " roter rotes roten rood rode roda czerwony czerwona",
    "pink": "roze rozowy rozowa",
    "yellow": "jaune jaunes amarillo amarilla amarelo amarela giallo gialla gelb gelbe gelber"
    " gelbes geel gele gul gula zolty zolta",
    "green": "vert verte verts vertes verde verdes verdi gruen grun grune gruner grunes groen"
    " groene gron grona gront zielony zielona",
    "blue": "bleu bleue bleus bleues azul azules azzurro azzurra blau blaue blauer blaues blauw"
    " blauwe blaa niebieski niebieska",
    "purple": "violette violets morado morada roxo roxa paars fioletowy",
    "brown": "brun brune brunt marron marrones marrom marrone braun braune brauner braunes bruin",
    "grey": "gris grise grigio grigia cinza grau graue grauer graues grijs szary szara",
}
_ENGLISH = {name: color for color, names in _COLORS.items() for name in names.split()}
# "Not" and "without" in these languages, which count before a color only.
_NOT = frozenset(
    {"pas", "ni", "non", "nicht", "kein", "keine", "keinen", "keiner", "niet", "geen", "ikke"}
    | {"inte", "ej", "nie", "nao", "sans", "sin", "ohne", "senza", "zonder", "sem", "uten", "uden"}
    | {"utan", "bez"}
)
# Words that make a name of the color after them: "film noir", "Moulin Rouge".
_IN_NAMES = frozenset({"film", "pinot", "sauvignon", "mont", "moulin", "cordon"})
_GARMENTS = {"pull": "jumper", "robe": "dress", "rock": "skirt", "hose": "trousers"}
"""Garments whose names are English words in another sense. They count beside a foreign color."""
# "t-shirt rose", "rose dress"; a rose on it and "rose gold" are something else.
_ROSE = re.compile(
    rf"(?<![\w'-])(?:(?<!with )(?<!with a )(?<!and )rose(?=\s+(?:{KINDS})(?![\w'-]))"
    rf"|(?<=\w\s)rose(?=\s*(?:$|[.,;:!?])))(?![\w'-])",
    re.IGNORECASE,
)
_COLOR_BEFORE = re.compile(rf"(?<![\w'-])(?:{COLORS})\s+$", re.IGNORECASE)  # "red rose skirt"
_KIND_BEFORE = re.compile(rf"(?<![\w'-])(?:{KINDS})\s+(?:in\s+)?$", re.IGNORECASE)


def read_foreign_colors(
    text: str, is_known: Callable[[str], bool]
) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Replace colors in other languages: "t-shirt pas noir" becomes "t-shirt not black".

    The names of some garments are replaced, too, if they stand beside such a color: "pull noir"
    becomes "jumper black". A text stays if the model knows none of its words besides function
    words: the model reads English.

    Args:
        text: The cleaned text.
        is_known: Function that tells whether a word is in the vocabulary.

    Returns:
        The new text, and pairs of a typed word or phrase and its replacement.
    """
    read: dict[str, str] = {}

    def replace_rose(match: re.Match[str]) -> str:
        is_after = match.string[match.end() :].strip(f"{string.punctuation} ") == "" or (
            match.string[match.end()] in string.punctuation
        )
        before = match.string[: match.start()]
        if (is_after and not _KIND_BEFORE.search(before)) or _COLOR_BEFORE.search(before):
            return match[0]
        read[match[0]] = "pink"
        return "pink"

    text = _ROSE.sub(replace_rose, text)
    words = text.split()
    letters = [word.strip(string.punctuation) for word in words]
    lower = [word.lower() for word in letters]
    places = [
        place
        for place, word in enumerate(lower)
        if word in _ENGLISH and (place == 0 or lower[place - 1] not in _IN_NAMES)
    ]
    if not places or not any(is_known(word) and word not in FUNCTION_WORDS for word in lower):
        return text, tuple(read.items())
    for place in places:
        color = _ENGLISH[lower[place]]
        words[place] = words[place].replace(letters[place], color)
        read[letters[place]] = color
        if place and lower[place - 1] in _NOT:
            typed = letters[place - 1]
            words[place - 1] = words[place - 1].replace(typed, "not")
            read[f"{typed} {letters[place]}"] = f"not {read.pop(letters[place])}"
        for beside in (place - 1, place + 1):
            if 0 <= beside < len(words) and lower[beside] in _GARMENTS:
                garment = _GARMENTS[lower[beside]]
                words[beside] = words[beside].replace(letters[beside], garment)
                read[letters[beside]] = garment
    return " ".join(words), tuple(read.items())
