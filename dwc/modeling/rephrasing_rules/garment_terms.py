"""Rules for terms that models know by another name: "half sleeves" becomes "short sleeves".

Most are terms for sleeves and lengths, or name a color or a pattern in an unusual way.
"""

import re

from dwc.lazy_pattern import compile_lazily
from dwc.modeling.rephrasing_rules.vocabulary import (
    BARE_VALUE,
    PATTERN_ADJECTIVES,
    PHRASE_END,
    Rule,
)
from dwc.negation.garment_words import COLORS, DETAIL, KINDS, SHADED_COLOR

# Garments whose name begins with that of another kind of garment.
_COMPOUND = compile_lazily(
    r"(?<![\w'-])(?:dress\s+(?P<formal>pants|trousers|slacks|shoes?|boots?|sandals?|socks|hats?)"
    r"|jeans?\s+(?P<denim>jackets?|shirts?|skirts?|shorts|vests?|dress(?:es)?|coats?))(?![\w'-])",
    re.IGNORECASE,
)
# "stripeless", and "unstriped shirt": where no garment follows, "non-striped" is an exclusion.
_ABSENT_PATTERN = compile_lazily(
    r"(?<![\w'-])(?:(?:stripe|dot|flower|check|print|graphic|logo)s?(?:-?less|[\s-]free)(?![\w'-])"
    rf"|(?:un|non)[\s-]?(?:{'|'.join(PATTERN_ADJECTIVES)})(?=\s+(?:(?:{SHADED_COLOR}|[^\W\d_]+)\s+)?(?:{KINDS})\b))",
    re.IGNORECASE,
)
# Terms of shops, read as the nearest that models learn.
_THREE_QUARTERS = r"(?<![\w'-])(?:3/\s*4|three[\s-](?:quarter|fourth)s?)(?:[\s-]+lengths?)?"
_THREE_QUARTER_SLEEVES = compile_lazily(rf"{_THREE_QUARTERS}[\s-]+(sleeves?)\b", re.IGNORECASE)
_THREE_QUARTER_LEGS = compile_lazily(
    rf"{_THREE_QUARTERS}(?=[\s-]+(?:trousers|pants|jeans|leggings)\b)", re.IGNORECASE
)
# "in a darker shade of green".
_SHADE_OF = compile_lazily(
    r"(?<![\w'-])(?:an?\s+)?(?P<shade>dark|light|bright|pale|deep)(?:er)?\s+(?:shade|tone|hue)s?\s+of\s+"
    rf"(?P<color>{COLORS})(?![\w'-])",
    re.IGNORECASE,
)
# "half sleeves" for short ones, "full sleeves" for long ones; "half pants" for shorts.
_HALF_PANTS = compile_lazily(r"(?<![\w'-])half[\s-]+pants?(?![\w'-])", re.IGNORECASE)
# "with lines", "no lines", but not "along the lines of".
_LINES = compile_lazily(
    r"(?<![\w'-])((?:with|without|no|the|those|these)\s+)lines(?![\w'-])(?!\s+of\b)", re.IGNORECASE
)
# "without check", in which "check" is no verb.
_NO_CHECK = compile_lazily(
    rf"(?<![\w'-])(?:no|without)\s+(?:any\s+|a\s+)?check{PHRASE_END}", re.IGNORECASE
)
# "with the sleeves chopped off", "bare arms".
_NO_SLEEVES = compile_lazily(
    r"(?<![\w'-])(?:(?:with\s+)?(?:the\s+|its\s+)?(?:sleeves|arms)\s+(?:(?:are|be)\s+)?(?:cut|chopped|taken|ripped|torn)\s+off"
    r"|(?:cut|chop|rip|take)\s+(?:off\s+)?(?:the|its)\s+(?:sleeves|arms)(?:\s+off)?(?!\s+short)"
    r"|(?:with\s+)?bare\s+arms|(?:with\s+)?no\s+arms|without\s+(?:any\s+)?arms|armless"
    r"|(?:show(?:s|ing)?|bar(?:e|es|ing))\s+(?:my|the|her|your)\s+arms)(?![\w'-])",
    re.IGNORECASE,
)
# "cover my arms", "with the arms covered".
_COVERED_ARMS = compile_lazily(
    r"(?<![\w'-])(?:(?:to|that|which|should)\s+)*(?:cover(?:s|ing)?\s+(?:up\s+)?(?:my|the|her|your)\s+"
    r"arms|(?:with\s+)?(?:my\s+|the\s+)?arms\s+covered)(?:\s+up)?(?![\w'-])",
    re.IGNORECASE,
)
# Things that give a color its name: "the color of grass", "wine colored", "white as snow".
_NAMESAKES = {
    "red": "blood|cherry|cherries|strawberry|strawberries|fire",
    "burgundy": "wine",
    "pink": "flamingo|bubblegum",
    "yellow": "banana|lemon|sunflower",
    "green": "grass|lime|olive|avocado",
    "light blue": "(?:the\\s+)?sky",
    "blue": "ocean|(?:the\\s+)?sea",
    "white": "milk|snow",
    "black": "coal|(?:the\\s+)?night",
    "brown": "coffee|chocolate",
    "beige": "sand",
}
_NAMESAKE = "|".join(_NAMESAKES.values())
_LIKE_THING = compile_lazily(
    rf"(?<![\w'-])(?:in\s+)?(?:(?:the\s+|an?\s+)?(?:same\s+)?colou?r\s+(?:of|like|as)\s+(?:an?\s+|the\s+|fresh\s+)*"
    rf"(?P<thing>{_NAMESAKE})|(?P<before>{_NAMESAKE})[\s-]+colou?r(?:ed)?"
    rf"|(?:as\s+)?(?:{COLORS})\s+(?:as|like)\s+(?:an?\s+|the\s+)?(?P<like>{_NAMESAKE})){PHRASE_END}",
    re.IGNORECASE,
)
# "longer arms" of a garment.
_ARMS = compile_lazily(
    r"(?<![\w'-])(?P<length>long(?:er)?|short(?:er)?|full|wide(?:r)?|tight(?:er)?|loose(?:r)?)[\s-]+arms?(?![\w'-])",
    re.IGNORECASE,
)
# "undecorated", "blank t-shirt", "in a single color".
_UNDECORATED = compile_lazily(
    r"(?<![\w'-])(?:un(?:decorated|adorned|patterned|printed)|blank|clean\s+front"
    r"|(?:in\s+)?(?:an?\s+)?(?:single|one|solid)[\s-]+colou?r(?:ed)?(?=\s*(?:$|[,.;])))(?![\w'-])",
    re.IGNORECASE,
)
_LENGTHS = {"half": "short", "full": "long"}
_SLEEVE_LENGTH = compile_lazily(
    r"(?<![\w'-])(?P<length>half|full)[\s-]+(?P<sleeves>sleeve[sd]?)(?![\w'-])", re.IGNORECASE
)
# "sleeves that stop at the elbow", "sleeves down to the wrists".
_SLEEVES_TO = compile_lazily(
    r"(?<![\w'-])sleeves?\s+(?:(?:that|which)\s+)?(?:(?:just|only)\s+)?(?:(?:stop|end|reach|go|come|finish)(?:s|es)?"
    r"\s+)?(?:(?:just|only)\s+)?(?:(?:down\s+|up\s+)?to|at|above|below|by|until|reaching|ending\s+at)\s+"
    r"(?:the\s+|your\s+|my\s+)?(?P<end>elbow|wrist|hand)s?(?![\w'-])",
    re.IGNORECASE,
)
# Shops write "s/s" and "l/s"; a slash between words is followed by a space here.
_SLEEVES_IN_SHORT = compile_lazily(r"(?<![\w'/-])(?P<length>[sl])/\s?s(?![\w'/-])", re.IGNORECASE)
_ABOVE_KNEE = compile_lazily(
    r"(?<![\w'-])less\s+than\s+(?:the\s+)?knees?(?:[\s-]+length)?(?![\w'-])", re.IGNORECASE
)
_LOW_HEEL = compile_lazily(
    r"(?<![\w'-])(?:with\s+)?(?:as\s+(?:little|low|small)\s+(?:an?\s+)?heels?\s+as\s+possible"
    r"|(?:(?:an?|the)\s+)?(?:minimal|minimum|lowest|smallest|least|tiniest)\s+heels?(?:\s+possible)?)"
    r"(?![\w'-])",
    re.IGNORECASE,
)
# Slips that are words themselves.
_SLIPS = {
    "loose": "lose",
    "stripped": "striped",
    "strips": "stripes",
    "lose": "loose",
    "plane": "plain",
}
_SLIP = compile_lazily(
    rf"(?<![\w'-])(?:stripped|strips|loose(?=\s+(?:the|those|these)\s+(?:{BARE_VALUE}|{DETAIL}){PHRASE_END})|lose(?=[\s-]+(?:fit|fitting|cut)\b)"
    rf"|plane(?=\s+(?:{COLORS}|{KINDS})\b))(?![\w'-])",
    re.IGNORECASE,
)


def _rephrase_compound(match: re.Match[str]) -> str:
    """Remove a garment's name from the start of another one's: "dress pants" becomes "pants".

    But if the first word is "jeans", it becomes "denim": "jeans jacket" becomes "denim jacket".
    """
    return (match["formal"] or f"denim {match['denim']}").lower()


def _correct_slip(match: re.Match[str]) -> str:
    """Return the right word for a mistyped one that is a word too: "striped" for "stripped"."""
    return _SLIPS[match[0].lower()]


def _rephrase_like_thing(match: re.Match[str]) -> str:
    """Rephrase a color that is described by a thing: "the color of grass" becomes "in green"."""
    thing = match["thing"] or match["before"] or match["like"]
    [color] = [name for name, things in _NAMESAKES.items() if re.fullmatch(things, thing, re.I)]
    return f"in {color}"


def _rephrase_sleeves_in_short(match: re.Match[str]) -> str:
    """Return "short sleeve" for "s/s", and "long sleeve" for "l/s"."""
    return f"{'short' if match['length'] in 'sS' else 'long'} sleeve"


# Slips, and words that stand for stripes and checks.
SLIP_RULES: tuple[Rule, ...] = (
    (_SLIP, _correct_slip),
    (_LINES, lambda match: f"{match[1]}stripes"),
    (_NO_CHECK, lambda match: f"{match[0]}s"),
)
COMPOUND_RULES: tuple[Rule, ...] = ((_COMPOUND, _rephrase_compound),)
TERM_RULES: tuple[Rule, ...] = (
    (_ABSENT_PATTERN, lambda match: "plain"),
    (_THREE_QUARTER_SLEEVES, lambda match: f"elbow length {match[1]}"),
    (_SHADE_OF, lambda match: f"{match['shade']} {match['color']}".lower()),
    (_HALF_PANTS, lambda match: "shorts"),
    (_NO_SLEEVES, lambda match: "without sleeves"),
    (_LIKE_THING, _rephrase_like_thing),
    (_ARMS, lambda match: f"{match['length']} sleeves".lower()),
    (_UNDECORATED, lambda match: "plain"),
    (
        _SLEEVE_LENGTH,
        lambda match: f"{_LENGTHS[match['length'].lower()]} {match['sleeves']}",
    ),
    (
        _SLEEVES_TO,
        lambda match: f"{'elbow length' if match['end'].lower() == 'elbow' else 'long'} sleeves",
    ),
    (_COVERED_ARMS, lambda match: "with long sleeves"),
    (_SLEEVES_IN_SHORT, _rephrase_sleeves_in_short),
    (_THREE_QUARTER_LEGS, lambda match: "cropped"),
    (_ABOVE_KNEE, lambda match: "short"),
    (_LOW_HEEL, lambda match: "with a low heel"),
)
