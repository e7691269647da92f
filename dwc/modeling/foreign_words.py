"""Colors in other languages beside English words: "t-shirt rose", "robe noire", "not azul".

A model knows few of these words, and some of them in another sense: of the first 12 photographs for
"t-shirt noir", 1 is black. `read_foreign_colors` replaces them with the English colors.
"""

import re
import string
from collections.abc import Callable

from dwc.modeling.text_cleaning import FUNCTION_WORDS
from dwc.negation.garment_words import COLORS, KINDS

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
