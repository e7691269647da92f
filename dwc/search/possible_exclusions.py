"""Messages about phrases that may exclude something, though no rule reads them.

- An unknown word beside a phrase that often excludes: "veer away from black". The model drops the
  word and takes "black" for a wish.
- A double negation that no rule reads: "no t-shirt that is not linen".
- A color that may belong to a name: "Pink Ladies".
"""

import re
from collections.abc import Sequence

from dwc.lazy_pattern import compile_lazily
from dwc.modeling.color_names import find_color_names
from dwc.modeling.double_negation import find_double_negations
from dwc.modeling.text_cleaning import FUNCTION_WORDS
from dwc.negation.garment_words import DETAIL, KINDS, PATTERN_NAMES, SHADED_COLOR

_WORD = r"[^\W\d_]+(?:'[^\W\d_]+)?"
_THING = rf"(?:{SHADED_COLOR}|{PATTERN_NAMES}|{DETAIL}|{KINDS})"
_ARTICLES = r"(?:(?:any|the|all|an?|these|those|this|that|my|wearing|of)\s+)*"
# "veer away from", "enough of", "not fond of", "weary of"; at the start of a sentence or after "I",
# also an unknown word with "of", "from" or "off".
_CUE = compile_lazily(
    rf"(?<![\w'-])(?P<cue>(?:{_WORD}\s+){{0,2}}?(?:away|apart|clear|back|off|shy|far)\s+(?:from|of)"
    r"|(?:had|have|got|seen|quite|more\s+than|than)\s+enough(?:\s+of)?|(?<!\w\s)enough\s+of"
    rf"|(?:{_WORD}\s+)?(?:sick|tired|bored|weary|wary|afraid|scared|critical|suspicious|fed\s+up)\s+(?:of|with)"
    rf"|(?:(?<=^)|(?<=[.!?;:]\s)|(?<=,\s)|(?<=\bI\s)|(?<=\bI'm\s)|(?<=\bplease\s)){_WORD}\s+(?:from|off|against|without))"
    rf"\s+{_ARTICLES}(?P<thing>{_THING})(?![\w'-])",
    re.IGNORECASE,
)
# These words exclude nothing: "made from denim".
_NO_CUE = frozenset(
    {"made", "make", "makes", "different", "come", "comes", "far", "inspired", "print", "printed"}
    | {"go", "goes", "going", "went", "change", "changes", "switch", "switches"}
)


def find_possible_exclusions(text: str, unknown: Sequence[str]) -> list[tuple[str, str]]:
    """Return phrases that may exclude something, each with the thing: ("veer away from", "black").

    Such a phrase has a word that the model does not know.

    Args:
        text: The text of a query, without what it excludes.
        unknown: The words of the text that the model does not know.
    """
    missing = {word.lower() for word in unknown} - FUNCTION_WORDS
    found: dict[tuple[str, str], None] = {}
    for match in _CUE.finditer(text):
        words = match["cue"].lower().split()
        if missing.intersection(words) and _NO_CUE.isdisjoint(words):
            found[" ".join(words), " ".join(match["thing"].lower().split())] = None
    return list(found)


def describe_possible_exclusions(text: str, rest: str, unknown: Sequence[str]) -> list[str]:
    """Return messages about phrases of a text that the model may read as the opposite.

    Args:
        text: The text of a query.
        rest: The text without what it excludes.
        unknown: The words of the text that the model does not know.
    """
    notes = [
        f'The model does not know all words of "{cue}": if it excludes "{thing}", the results may '
        f'have that nevertheless. Use "not" before a color, "without" before anything else.'
        for cue, thing in find_possible_exclusions(rest, unknown)
    ]
    notes += [
        f'The model does not follow a double negation ("{phrase}"). Say only what you want.'
        for phrase in find_double_negations(text)
    ]
    notes += [
        f'The model takes "{color}" in "{name}" for a color that you want. If it is a name, leave '
        "it out."
        for name, color in find_color_names(rest)
    ]
    return notes
