"""Messages for the user about wishes that a model cannot follow.

A model computes one vector of the whole text, and treats each picture as one garment. So it cannot
follow a text that

- asks for two garments together ("hat to go with a red dress"),
- leaves a choice ("red or green"),
- asks for a change without a new value ("another pattern", "something different", "more formal"),
- names an unwanted value besides the wanted one ("I wear black but need red"),
- asks for less of something ("less shiny"),
- has a condition ("unless it is red"),
- compares with a color ("lighter than navy"),
- gives a part or a place a color of its own ("red sleeves", "white at the bottom"), or
- gives the amount of a change ("two shades darker", "double the stripes"), or a number of parts
  ("exactly two pockets").

Two further messages depend on the evaluation of the checkpoint on photographs, which measures how
well the model follows single words and how well it recognizes colors, patterns, sleeves and kinds
of garments. There is a message if a text has a word that the model hardly follows, such as
"v-neck". There is also a message if the model recognizes a wished value in few of the first
results.

`describe_possible_exclusions` names phrases that may exclude something, though no rule reads them:
an unknown word beside a phrase that often excludes ("veer away from black"), a double negation ("no
t-shirt that is not linen"), and a color that may belong to a name ("Pink Ladies").
"""

import json
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from dwc.checkpoints.load import EVALUATION
from dwc.datasets.wardrobe import NAMED_COLORS
from dwc.lazy_pattern import compile_lazily
from dwc.modeling.color_words import find_color_names
from dwc.modeling.double_negation import find_double_negations
from dwc.modeling.rephrasing_rules.refusals import (
    DIFFERING,
    LEAVING,
    LEFT_OUT,
    OVER,
    SPARING,
    TAKEN_OUT,
)
from dwc.modeling.text_cleaning import FUNCTION_WORDS
from dwc.negation.exclusions import find_phrases, negations_in
from dwc.negation.garment_words import (
    ANY_COLOR,
    ANY_KIND,
    ANY_PATTERN,
    DETAIL,
    KINDS,
    PATTERN_NAMES,
    PATTERNS,
    SHADED_COLOR,
    find_wished_kind,
)

_SLEEVES = r"(?:short|long|elbow|half)[\s-](?:sleeves?|sleeved)"
_VALUE = rf"(?:{SHADED_COLOR}|{_SLEEVES}|{'|'.join(PATTERNS)}|{DETAIL})"
_THING = rf"(?:{_VALUE}(?:\s+(?:{KINDS}))?|(?:{KINDS}))"
_OR = compile_lazily(
    rf"(?<![\w'-])(?P<first>{_THING})(?:\s*,?\s+(?:and\s*/\s*)?or\s+|\s*[/|]\s*)(?:(?:an?|the|in|with)\s+)*"
    rf"(?P<second>{_THING})"
    r"(?![\w'-])",
    re.IGNORECASE,
)
# Names of one kind of garment: who gives both wants no choice.
_SAME_KINDS = (
    {"t-shirt", "t shirt", "tshirt", "tee"},
    {"trousers", "pants"},
    {"jumper", "sweater", "pullover"},
    {"trainers", "sneakers"},
    {"bag", "handbag"},
)
# Pairs of colors that mean nearly the same.
_SAME_COLORS = (
    {"gray", "grey"},
    {"burgundy", "maroon"},
    {"teal", "turquoise"},
    {"beige", "cream"},
    {"white", "cream"},
    {"blue", "navy"},
)
_UNNAMED = compile_lazily(
    r"(?<![\w'-])((?:(?:an?other|other|different|a\s+new|but\s+(?:this|that|the\s+same))"
    r"|(?:change|alter|vary|switch|swap)\s+(?:(?:only|just|the|its)\s+)+)\s*"
    r"(?:colou?rs?|shades?|patterns?|prints?|necklines?|collars?"
    r"|sleeves?(?:\s+lengths?)?|lengths?|shapes?|fabrics?|materials?))(?![\w'-])"
    r"(?!\s+(?:than|from|to|into|for|with|by|as)\b)",
    re.IGNORECASE,
)
# Comparatives of a style, which many changes could answer: "more formal", "warmer".
_STYLES = (
    r"more\s+(?:formal|casual|elegant|stylish|modern|classic(?:al)?|fancy|dressy|professional|trendy"
    r"|fashionable|feminine|masculine|interesting|fun|festive|sporty|relaxed|flattering|summery|unique"
    r"|vintage|retro|edgy|sexy|modest|playful|conservative|sophisticated|colou?rful)"
    r"|warmer|cosier|cozier|smarter|fancier|dressier|nicer|prettier|classier|trendier|sportier|sexier"
)
_UNNAMED_CHANGE = compile_lazily(
    rf"(?<![\w'-])({_STYLES}|(?:some|any)thing\s+(?:(?:very|completely|totally|entirely|quite)\s+)?(?:different|else)"
    r"|different\s+(?:from|than|to)\s+(?:this|that|it|the\s+(?:picture|photo|image))(?:\s+one)?"
    r"|(?:completely|totally|entirely|very)\s+different"
    r"|contrast\s+(?:to|with)\s+(?:this|that|it|the\s+(?:picture|photo|image))(?:\s+one)?"
    r"|(?:less|not(?:hing)?|un)\s*(?:like|similar\s+to)\s+(?:this|that|it|the\s+(?:picture|photo|image))"
    r"(?:\s+one)?|(?:(?:any|every)thing|(?:any|every|another)\s+\w+)\s+but\s+(?:this|that|these|those|it)(?:\s+ones?)?|the\s+opposite)(?![\w'-])(?!\s+(?:colou?r|shade|pattern|print|in\s|of\s))",
    re.IGNORECASE,
)
# Words between two values that make only one of them a wish: "I wear black but need red".
_TURN = compile_lazily(
    r"(?<![\w'-])(?:i|i'm|i've|i'd|my|mine|we|our|need|want|wants|wanted|prefer|looking\s+for|instead"
    r"|rather|than|would|should|must|wish|give|show|find|make\s+(?:that|it)|(?:scratch|strike)\s+that|mean|meant"
    r"|sorry|oops|actually|correction|nope|nah|wait|second\s+thoughts?|no(?=\s*[,.;:!-]))(?![\w'-])",
    re.IGNORECASE,
)
# "Less shiny", "too busy"; "less long" was read as "shorter" before, and "less red" has its own
# message.
_LESS = compile_lazily(
    r"(?<![\w'-])(?<!more or )"
    r"((?:less|fewer|(?<!not )too)\s+"
    rf"(?!(?:many|much|than|like|similar|of|{SHADED_COLOR})\b)[^\W\d_]+)",
    re.IGNORECASE,
)
# Words that turn the meaning of others, and have no message of their own.
_TURNING = compile_lazily(
    r"(?<![\w'-])(unless|although|though|however|whereas|otherwise|hardly|barely|scarcely"
    rf"|(?:different\s+(?:from|than)|{DIFFERING})(?!\s+(?:this|that|it|the|my|mine)\b)"
    r"|if(?!\s+possible)|except|excepting|bar|besides|unlike|opposite|regardless|despite)"
    r"(?![\w'-])",
    re.IGNORECASE,
)
# Verbs that exclude an unknown thing, such as cotton. If the thing is known, the phrase was
# replaced before. "Don't forget the belt" excludes nothing, "cut the sleeves shorter" and "the back
# cut out" describe a cut, and "over knee boots" is a name.
_END = r"(?=\s*(?:$|[,.;:!?)]|(?:and|or|but|please)\b))"
_CUTS = r"shorter|longer|smaller|wider|narrower|lower|higher|deeper|short|long|open"
_CUT_OUT = r"(?:back|front|waist|side|shoulder|arm|leg|keyhole|neck|chest)s?"
_EXCLUDING = compile_lazily(
    r"(?<![\w'-])(?<!n't\s)(?<!\bnot\s)(?<!\bnever\s)(?:please\s+)?"
    rf"({SPARING}(?=\s+[^\W\d_])(?![^,.;:!?]*\s(?:{_CUTS})\b)"
    rf"|{OVER}(?=\s+[^\W\d_])(?!\s+(?:the\s+)?(?:knee|ankle|shoulder|size))"
    rf"|{LEAVING}\s+(?:[\w'-]+\s+){{1,5}}?{LEFT_OUT}{_END}"
    rf"|(?!(?:{_CUT_OUT}|not|never)\s)[^\W\d_]+\s+(?:(?:is|are|be)\s+)?{TAKEN_OUT}{_END})(?![\w'-])",
    re.IGNORECASE,
)
_COMPARED = (ANY_COLOR, ANY_PATTERN, compile_lazily(_SLEEVES, re.IGNORECASE))
_BOUND = compile_lazily(
    r"(?<![\w'-])((?:lighter|darker|brighter|paler|deeper)\s+than\s+(?:an?\s+|the\s+)?"
    rf"{SHADED_COLOR})(?![\w'-])",
    re.IGNORECASE,
)

_PARTS = (
    r"brims?|buckles?|buttons?|(?:shoe)?laces|straps?|zips?|zippers?|soles?|hems?|cuffs?|collars?"
    r"|hoods?|lapels?|necklines?|sleeves?|pockets?|handles?|chains?|bands?|ribbons?|belts?"
    r"|drawstrings?|waistbands?|ruffles|frills|trims?|trimming|piping|lining|edg(?:es?|ing)"
    r"|stitch(?:es|ing)|seams?|yokes?|toes?|tips?|bows?|panels?|patch(?:es)?"
)
_PLACES = (
    r"(?:left|right|front|back|top|bottom)(?:\s+(?:side|half))?|(?:in|out)side|middle|cent(?:er|re)"
    r"|sides?|shoulders?|chest|waist"
)
# A color of a part or a place: "red sleeves", "collar in red", "white at the bottom".
_PART_COLOR = compile_lazily(
    rf"(?<![\w'-])({SHADED_COLOR}\s+(?:(?:leather|metal|wide|thin|thick|big|small)\s+)?(?:{_PARTS})"
    rf"(?!\s+(?:{KINDS})\b)"
    rf"|(?:{_PARTS})\s*(?:\s(?:in|into|is|are|to|should\s+be)|:)\s+(?:an?\s+)?{SHADED_COLOR}"
    rf"|{SHADED_COLOR}\s+(?:\w+\s+)?(?:at|on|in|around|along|down)\s+(?:the|its|both|one)\s+"
    rf"(?:{_PLACES}|{_PARTS})"
    rf"|half\s+{SHADED_COLOR}"
    rf"|{SHADED_COLOR}\s+(?:(?:\w+)\s+)?half)(?![\w'-])",
    re.IGNORECASE,
)
_TIMES = r"(?:(?:two|three|four|five|ten|[2-9]|10)\s+times|[2-9]\s?x|twice|double|triple|half)"
_AMOUNT = compile_lazily(
    r"(?<![\w'-])(?:(?:two|three|four|[2-9]|(?:a\s+)?few|several|some|(?:a\s+)?couple(?:\s+of)?)\s+"
    r"(?:shades?|tones?|sizes?|inch(?:es)?|cm)\s+"
    r"(?P<read>lighter|darker|brighter|paler|deeper|longer|shorter|wider|narrower|tighter|looser))"
    r"(?![\w'-])",
    re.IGNORECASE,
)
_MULTIPLE = compile_lazily(
    rf"(?<![\w'-]){_TIMES}\s+(?:as|the|more|of)\s+(?P<read>[^\W\d_]+)(?![\w'-])", re.IGNORECASE
)
# "keep nothing but the color": everything else should differ.
_NOTHING_BUT = compile_lazily(
    r"(?<![\w'-])((?:keep\s+)?(?:nothing|none)\s+(?:of\s+it\s+)?(?:but|except(?:\s+for)?)\s+(?:the|its)\s+"
    r"(?:colou?r|pattern|print|shape|length|neckline|fabric|material))(?=\s*(?:$|[.,;!]))",
    re.IGNORECASE,
)
# "exactly two pockets", "a single button".
_COUNT = compile_lazily(
    r"(?<![\w'-])((?:exactly\s+)?(?:two|three|four|five|six|[2-6]|exactly\s+one|(?:an?|one)\s+single)\s+"
    r"(?P<read>pockets?|buttons?|zips?|zippers?|straps?|buckles?|stripes?|dots|flowers?|belts?))(?![\w'-])",
    re.IGNORECASE,
)
# Names of garments in other senses: "top quality", "that suits me".
_NO_GARMENT = compile_lazily(
    r"\b(?:with|in|on)\s+(?:(?:very|an?|no|low|high|small|chunky|thin|wide|block|kitten|stiletto)\s+)*heels\b"
    r"|\bpolo[\s-]+neck(?:ed|s)?\b|\btop[\s-]+(?:quality|notch|rated|brand|seller)\b|\bsuits?\s+(?:me|my|the|any|every|all)\b",
    re.IGNORECASE,
)
_ONE_GARMENT = compile_lazily(
    r"[\s-]*|\s*,\s*(?:an?\s+|the\s+)?|\W*\s*(?:or|nor|/|as|into|instead|to\s+an?|into\s+an?|like|than|not|no)\b.*|.*\b(?:as|into|like|than|not)\s+(?:an?\s+)?",
    re.IGNORECASE | re.DOTALL,
)


# Words are poorly known if less than this share of the first results fits, and at least this number
# of photographs does.
_POOR_SHARE, _LEAST_FITTING = 1 / 3, 10
_LEAST_ACCURACY = 0.6  # of the readings of an attribute that are compared with a wish


class WordCount(NamedTuple):
    """How many of the first search results for a word or phrase fit it, according to their labels.

    Attributes:
        found: Number of the first `k` photographs that fit.
        k: Number of first results that were counted.
    """

    found: int
    k: int


class Measured(NamedTuple):
    """How well a model follows single words and recognizes values, measured on photographs.

    Attributes:
        poorly_known: For each word or phrase that the model follows poorly, in lower case, such as
            "v-neck", how many of the first search results fit it.
        readings: For each attribute, such as "colour", the share (0 to 1) of the photographs whose
            value, derived from their embeddings, is correct. Attributes with a low share are left
            out.
    """

    poorly_known: Mapping[str, WordCount] = MappingProxyType({})
    readings: Mapping[str, float] = MappingProxyType({})


def load_measured(folder: Path | None, fingerprint: str) -> Measured:
    """Return how well a model follows single words and recognizes values such as colors.

    Args:
        folder: The checkpoint's folder, whose file `evaluation.json` has the results of the
            evaluation on photographs. None if the checkpoint has no folder.
        fingerprint: The checkpoint's fingerprint. Results of another model are ignored.

    Returns:
        The results; empty if there are none.
    """
    try:
        evaluation = json.loads(((folder or Path()) / EVALUATION).read_bytes())
        if folder is None or evaluation["fingerprint"] != fingerprint:
            return Measured()
        measured = evaluation["wardrobe"]["search_words"]
        k = int(measured["k"])
        counts = {
            words.lower(): (int(count["found"]), int(count["fitting"]))
            for words, count in measured["words"].items()
        }
        readings = {
            attribute: float(accuracy)
            for attribute, accuracy in evaluation["wardrobe"].get("readings", {}).items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Measured()  # most checkpoints have no such file, or one without these measurements
    return Measured(
        {
            words: WordCount(found, k)
            for words, (found, fitting) in counts.items()
            if fitting >= _LEAST_FITTING and found < _POOR_SHARE * min(k, fitting)
        },
        {name: accuracy for name, accuracy in readings.items() if accuracy >= _LEAST_ACCURACY},
    )


# Other names of colors, such as "navy" -> the value of `VALUE_TEXTS` that they ask for.
_SHADES = {"gray": "grey"} | {
    name: color for (color, _), names in NAMED_COLORS.items() for name in names
}
# Phrase of `PATTERNS` -> the value of `VALUE_TEXTS` that the pattern's names ask for.
_EXCLUDED_VALUES = {
    "no stripes": "striped",
    "with no flowers": "floral",
    "no checks": "checked",
    "no plaid": "checked",
    "with no dots": "dotted",
    "no print": "graphic",
    "no graphic": "graphic",
    "no logo": "graphic",
}
_PATTERN_VALUES = [
    *(
        (_EXCLUDED_VALUES[read], names)
        for names, read in PATTERNS.items()
        if read in _EXCLUDED_VALUES
    ),
    ("plain", "plain"),
]
_SLEEVE_VALUES = [
    ("sleeveless", r"sleeveless|without\s+sleeves|no\s+sleeves"),
    ("short", r"short[\s-]sleeve[sd]?"),
    ("elbow", r"elbow[\s-]length[\s-]sleeves?"),
    ("long", r"long[\s-]sleeve[sd]?"),
]


_KIND_VALUES = [
    (
        "top",
        r"polo\s+shirts?|t-?shirts?|(?:shirt|top|tee|blouse|tunic|jacket|coat|blazer|cardigan|sweater"
        r"|jumper|pullover|sweatshirt|waistcoat|vest|polo|hoodie)s?",
    ),
    ("dress", r"dress(?:es)?|gowns?|frocks?"),
    ("skirt", r"skirts?"),
    ("trousers", r"trousers|pants|jeans|leggings"),
    ("shorts", r"shorts"),
    ("shoes", r"(?:shoe|boot|sandal|sneaker|trainer|loafer|slipper)s?|heels|pumps|flats"),
    ("hat", r"hats?|caps?|beanies?"),
    ("bag", r"(?:hand)?bags?|backpacks?"),
]


def find_wished_values(text: str) -> dict[str, str]:
    """Return the values that a text asks for, such as {"colour": "red"} for "in burgundy".

    Burgundy is a shade of red. An attribute is left out if the text names no value of it, or
    several values. With two colors, for example, it is not clear which one most of the garment
    should have.

    Args:
        text: The text of a query, without what it excludes.
    """
    colors = {color.lower() for color in ANY_COLOR.findall(text)}
    found = {"colour": {_SHADES.get(color, color) for color in colors}}
    for attribute, values in (("pattern", _PATTERN_VALUES), ("sleeve", _SLEEVE_VALUES)):
        found[attribute] = {
            value
            for value, names in values
            if re.search(rf"(?<![\w'-])(?:{names})(?![\w'-])", text, re.IGNORECASE)
        }
    kind = find_wished_kind(text) or ""
    found["kind"] = {value for value, names in _KIND_VALUES if re.fullmatch(names, kind)}
    return {attribute: values.pop() for attribute, values in found.items() if len(values) == 1}


def describe_reading(words: str, read: int, shown: int, accuracy: float) -> list[str]:
    """Return a message if few of the first results seem to have a value that the user asks for.

    The value of a result is derived from its embedding: it is the value whose text has the most
    similar embedding. The returned list has one message or is empty.

    Args:
        words: Words that name the wanted value, such as `"in red"` or `of the kind "dress"`.
        read: Number of the first results whose derived value is the wanted value.
        shown: Number of first results that were examined.
        accuracy: Share (0 to 1) of the evaluation's photographs whose derived value is correct.
    """
    if read >= _POOR_SHARE * shown:
        return []
    return [
        f"By the model's own reading, {read} of the first {shown} results are {words}. This "
        f"reading is right for {accuracy:.0%} of the photographs of its evaluation."
    ]


def describe_poorly_known(text: str, poorly_known: Mapping[str, WordCount]) -> list[str]:
    """Return a message for the user if the model hardly follows some words of a text.

    Args:
        text: The text of a query, without what it excludes.
        poorly_known: The poorly known words, from `load_measured`.
    """
    found = []
    for words in sorted(poorly_known, key=len, reverse=True):
        pattern = r"[\s-]+".join(map(re.escape, re.split(r"[\s-]+", words)))
        text, count = re.subn(rf"(?<![\w'-]){pattern}s?(?![\w'-])", " ", text, flags=re.IGNORECASE)
        if count:
            found.append(words)
    return [
        f'The model hardly knows "{words}": in its evaluation on photographs, '
        f"{poorly_known[words].found} of the first {poorly_known[words].k} fitted. The results may "
        "lack it."
        for words in found
    ]


_LENGTH = compile_lazily(
    r"(?<![\w'-])((?:much\s+|a\s+(?:bit|little)\s+|slightly\s+)?(?:longer|shorter)|cropped|maxi|midi|mini"
    r"|long|short|(?:knee|ankle|floor|calf|thigh|waist|hip|full)[\s-]length"
    r"|(?:(?:just\s+)?(?:above|below|over|down\s+to|up\s+to|to)\s+(?:the|my|your)\s+"
    r"(?:knees?|ankles?|floor|calf|calves|thighs?|hips?)))(?![\w'-])(?![\s-]+(?:sleeve|arm|trousers\b))",
    re.IGNORECASE,
)


def describe_lengths(text: str) -> list[str]:
    """Return a message if a text asks for a length, such as "longer".

    On photographs, models hardly follow wishes for a length. The returned list has one message or
    is empty.

    Args:
        text: The text of a query with a reference image, without what it excludes.
    """
    phrases = find_phrases(_LENGTH, text)
    if not phrases:
        return []
    quoted = ", ".join(f'"{phrase}"' for phrase in phrases)
    return [
        f"The model hardly follows lengths on photographs ({quoted}): many results may be as long "
        "as the picture's garment."
    ]


def describe_unknown(text: str, unknown: Sequence[str]) -> list[str]:
    """Return a message if a model does not know at least half of a text's words.

    The model follows the other words only. For example, a model that does not know "curtain" and
    "headache" reads "flowers, like a curtain, a headache" as a wish for flowers. Function words
    such as "with" do not count. There is no message if the model knows none of the words.

    Args:
        text: The text of a query, without what it excludes.
        unknown: The words of the text that the model does not know.
    """
    words = set(re.findall(r"[^\W\d_]+(?:['-][^\W\d_]+)*", text.lower()))
    content = words - FUNCTION_WORDS - {"ones"}
    missing = [word for word in dict.fromkeys(unknown) if word.lower() in content]
    if not missing or len(missing) == len(content) or 2 * len(missing) < len(content):
        return []
    names = ", ".join(f'"{word}"' for word in missing[:6])
    return [f"The model does not know {names}, and takes the other words as wishes."]


def describe_unclear(text: str, has_image: bool) -> list[str]:
    """Return messages for the user about a text's wishes that a model cannot follow.

    There is one message per wish.

    Args:
        text: The text of a query, without what it excludes; see `find_exclusions`.
        has_image: Whether the query also has a reference image.
    """
    notes = []
    if garments := find_two_garments(text):
        notes.append(
            f"The words name two garments ({' and '.join(garments)}). Each picture counts as one, "
            "and the results may show either. Search for one of them."
        )
    if pair := find_alternatives(text):
        notes.append(
            f'The model does not choose between alternatives: with "{pair[0]} or {pair[1]}", the '
            "results may show only one of them, or a mixture. Search for each by itself."
        )
    addition = ", and some results may have that of the picture" if has_image else ""
    notes += [
        f'"{name}" does not say which one{addition}. Name what you want.'
        for name in find_phrases(_UNNAMED, text)
    ]
    if has_image and (match := _UNNAMED_CHANGE.search(text)):
        notes.append(
            f'"{_lower(match[0])}" does not say what should differ, so the results may be like the '
            "picture. Name what you want."
        )
    for phrase in find_phrases(_NOTHING_BUT, text) if has_image else ():
        notes.append(
            f'The model may overlook "{phrase}", so the results may be like the picture in other '
            "ways. Name what should differ."
        )
    if values := find_turn(text):
        notes.append(
            f"The model reads all of these as wanted: {', '.join(values)}. Name only what you want."
        )
    notes += [
        f'The model may read "{less}" as "{less.split()[1]}". Name what you want instead.'
        for less in find_phrases(_LESS, text)
    ]
    if words := [*find_phrases(_TURNING, text), *find_phrases(_EXCLUDING, text)]:
        quoted = ", ".join(f'"{word}"' for word in words)
        notes.append(f"The model may overlook {quoted}. Say only what you want.")
    notes += [
        f'The model does not compare with a color: with "{comparison}", the results may have that '
        'color itself. Name the shade that you want, such as "light blue".'
        for comparison in find_phrases(_BOUND, text)
    ]
    notes += [
        f'The model does not tell which part has a color: with "{phrase}", other parts may have it '
        "in the results."
        for phrase in find_phrases(_PART_COLOR, text)
    ]
    notes += [
        f'The model does not know how much "{_lower(match[0])}" is: it reads '
        f'"{_lower(match["read"])}".'
        for pattern in (_AMOUNT, _MULTIPLE)
        for match in pattern.finditer(text)
    ]
    notes += [
        f'The model does not count: it reads "{_lower(match[0])}" as "{_lower(match["read"])}".'
        for match in _COUNT.finditer(text)
    ]
    return notes


def find_two_garments(rest: str) -> tuple[str, str] | None:
    """Return two different kinds of garments if a text asks for both of them; otherwise None.

    For example, "hat to go with a red dress" gives ("hat", "dress"). "Shirt dress", "shoes or
    boots" and "shirt as a dress" ask for only one garment each, so they give None.

    Args:
        rest: The text without the kinds that it excludes; see `find_exclusions`.
    """
    rest = _NO_GARMENT.sub("", rest)
    names = list(ANY_KIND.finditer(rest))
    for first, second in pairwise(names):
        one, other = (_lower(match[0]) for match in (first, second))
        if not _is_same(one, other) and not _ONE_GARMENT.fullmatch(
            rest[first.end() : second.start()]
        ):
            return one, other
    return None


def find_turn(text: str) -> tuple[str, str] | None:
    """Return two values that a text names although only one of them is wanted; otherwise None.

    For example, "my shirt is black, I want red" gives ("black", "red"): the words between the two
    values show that only one is wanted. "Red with white dots" asks for both colors, so it gives
    None.
    """
    for values in _COMPARED:
        for first, second in pairwise(values.finditer(text)):
            one, other = _lower(first[0]), _lower(second[0])
            if one != other and _TURN.search(text, first.end(), second.start()):
                return one, other
    return None


def find_alternatives(text: str) -> tuple[str, str] | None:
    """Return two things that a text joins by "or" as alternatives; None if there are none.

    For example, "red or green skirt" gives ("red", "green skirt"). "Grey or gray" and "more or less
    red" contain no choice. "Not red or green" excludes both, so it gives None, too.
    """
    for match in _OR.finditer(text):
        first, second = _lower(match["first"]), _lower(match["second"])
        if not _is_same(first, second):
            return None if negations_in(text[: match.start()]) else (first, second)
    return None


def _is_same(first: str, second: str) -> bool:
    """Return whether two names, in lower case, mean the same or nearly the same thing.

    For example, the result is True for "tee" and "t-shirt".
    """
    pairs = ((first, second), (second, first))
    if any(other in (name, f"{name}s", f"{name}es") for name, other in pairs):
        return True
    if any({first, second} <= names for names in _SAME_KINDS):
        return True
    colors = {color.lower() for name in (first, second) for color in ANY_COLOR.findall(name)}
    return len(colors) == 2 and colors in _SAME_COLORS


def _lower(phrase: str) -> str:
    return " ".join(phrase.lower().split())


_WORD = r"[^\W\d_]+(?:'[^\W\d_]+)?"
_EXCLUDABLE = rf"(?:{SHADED_COLOR}|{PATTERN_NAMES}|{DETAIL}|{KINDS})"
_ARTICLES = r"(?:(?:any|the|all|an?|these|those|this|that|my|wearing|of)\s+)*"
# "veer away from", "enough of", "not fond of", "weary of"; at the start of a sentence or after "I",
# also an unknown word with "of", "from" or "off".
_CUE = compile_lazily(
    rf"(?<![\w'-])(?P<cue>(?:{_WORD}\s+){{0,2}}?(?:away|apart|clear|back|off|shy|far)\s+(?:from|of)"
    r"|(?:had|have|got|seen|quite|more\s+than|than)\s+enough(?:\s+of)?|(?<!\w\s)enough\s+of"
    rf"|(?:{_WORD}\s+)?(?:sick|tired|bored|weary|wary|afraid|scared|critical|suspicious|fed\s+up)\s+(?:of|with)"
    rf"|(?:(?<=^)|(?<=[.!?;:]\s)|(?<=,\s)|(?<=\bI\s)|(?<=\bI'm\s)|(?<=\bplease\s)){_WORD}\s+(?:from|off|against|without))"
    rf"\s+{_ARTICLES}(?P<thing>{_EXCLUDABLE})(?![\w'-])",
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
