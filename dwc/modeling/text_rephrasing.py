"""Rephrasing of exclusions and comparisons in texts that people type.

A model follows some phrases better than others that mean the same. `rephrase_exclusions` replaces
phrases that exclude, compare or change something, such as "never red", "less long" and "blue jeans
but in gray", with phrases that the bundled checkpoint follows better.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, wraps
from typing import NamedTuple

from dwc.lazy_pattern import compile_lazily
from dwc.modeling.color_names import leave_out_colors_of_names
from dwc.modeling.double_negation import WISHES_WITH_NEGATIONS
from dwc.modeling.text_cleaning import FUNCTION_WORDS
from dwc.negation import (
    ALIKE_COLORS,
    ANY_COLOR,
    ANY_KIND,
    ANY_PATTERN,
    COLORS,
    COUNTED_KINDS,
    DETAIL,
    KINDS,
    NEGATIONS,
    ONLY,
    PARTS,
    PATTERN_NAMES,
    PATTERNS,
    REMOVING,
    SHADED_COLOR,
    find_exclusions,
    find_kind,
    negations_in,
)

# Words that say nothing about a garment by themselves: "the same item in another color".
_VAGUE = FUNCTION_WORDS | frozenset(
    {"thing", "item", "garment", "piece", "look", "style", "version", "picture", "photo", "image"}
    | {"color", "colour", "colors", "colours", "pattern", "something", "anything", "everything"}
    | {"similar", "exactly", "different", "still", "keep", "show", "find", "give", "get", "thanks"}
)

# Plurals of garments' names. A model has seen the singular far more often: of the first 12 for
# "tops", 1 is a top, for "top" 9. Pairs such as "trousers" and "shoes" have no singular here.
_PLURAL = compile_lazily(
    rf"(?<![\w'-])({COUNTED_KINDS})(?:(?<=dress)es|(?<!dress)s)(?![\w'-])", re.IGNORECASE
)

# Regular expression of a value that has one opposite -> phrase that asks for the opposite.
_OPPOSITES = {
    "sleeveless": "with sleeves",
    "plain": "with a pattern",
    "sleeves?": "without sleeves",
}

_THINGS = PATTERNS | PARTS
_THING = "|".join(_THINGS)
_OPPOSITE = "|".join(_OPPOSITES)
_BARE_VALUE = rf"(?:{SHADED_COLOR}(?:s|es)?|{_THING}|{_OPPOSITE})"
_VALUE = rf"(?:{_BARE_VALUE}|[\"'*]{_BARE_VALUE}[\"'*]|\({_BARE_VALUE}\)|\[{_BARE_VALUE}\])"

# Phrases that exclude all values of a list, even if "and" joins them: "avoid red and blue".
_VERBS = (
    r"avoid(?:ing)?|exclude|eliminate|ban|reject|hates?|dislikes?|loathes?|detests?|despises?"
    r"|can't\s+stand|sick\s+of|tired\s+of|fed\s+up\s+with|not\s+an?\s+(?:\w+\s+)?fan\s+of"
    r"|(?:do(?:n't|\s+not)|does(?:n't|\s+not)|did(?:n't|\s+not)|would(?:n't|\s+not))\s+"
    r"(?:really\s+|even\s+|particularly\s+)?(?:like|love|need|wear|fancy|enjoy|care\s+for|go\s+for)"
    r"|not\s+(?:into|keen\s+on)|(?:can|could)\s+do\s+without|(?:would\s+)?rather\s+not(?:\s+have)?"
    r"|ain't|unlike|zero|almost\s+no|hardly\s+any|barely\s+any|devoid\s+of|lacking|lacks?|no\s+need\s+for"
    r"|(?:cut|chop)\s+off|apart\s+from|any\s+(?:but|except(?:\s+for)?)|every\s+(?:but|except)|bar|barring"
    r"|(?:bored|fed\s+up|done|finished|(?<!\bsee[\s-])through)\s+(?:of|with)|allergic\s+to|refuses?\s+to\s+wear|never\s+wears?"
    r"|[^\W\d_]+\s+(?:well\s+|far\s+)?(?:away\s+from|clear\s+of)|tone\s+down"
    r"|(?:(?:have\s+had|had|have|got)\s+)?(?:more\s+than\s+)?enough|had\s+it\s+with|(?:(?:have\s+)?gone|go|went)\s+off|beware\s+of"
    r"|(?:refrain|abstain|desist)(?:ing)?\s+from"
    r"|(?:say\s+)?(?:good)?bye(?:\s+bye)?\s+to|weary\s+of|wary\s+of|averse\s+to|opposed\s+to|shun|boycott|veto|abhor"
    r"|(?:wardrobe|closet)\s+is\s+full\s+of|look(?:s|ed)?\s+(?:so\s+|really\s+)?"
    r"(?:awful|terrible|horrible|bad|ugly|pale|fat|old|silly)\s+in"
    r"|excepting|save\s+for|aside\s+from|(?:with\s+)?(?:the\s+)?exception\s+of"
)
_MODALS = (
    r"no\s+longer|(?:(?:that|which|it)\s+)?(?:should|must|may|can|could|will|would)\s+"
    r"(?:not|never)\s+(?:be|have)"
)
_REPLACING = ("instead of", "rather than")  # "dots instead of stripes"
_SWAPPING = {("replace",), ("swap",)}  # "replace the belt with buttons"


def _pattern_of(phrases: Iterable[tuple[str, ...]]) -> str:
    """Return a regular expression that matches any of the phrases; longer phrases are tried first.

    Args:
        phrases: The phrases, each a tuple of words.
    """
    longest_first = sorted(phrases, key=lambda phrase: -len(phrase))
    return "|".join(r"\s+".join(map(re.escape, phrase)) for phrase in longest_first)


_OF_ALL = {
    phrase
    for phrase, reach in NEGATIONS.items()
    if reach == "removing" or not {"but", "except", "excluding"}.isdisjoint(phrase)
} - _SWAPPING
_OF_FIRST = NEGATIONS.keys() - _OF_ALL - _SWAPPING
_ANY_NEGATION = f"{_VERBS}|{_MODALS}|{_pattern_of(NEGATIONS)}"
_PERSON = (
    r"(?:(?:please|(?:i|we)"
    r"(?:'d|'m|'re|'ve|\s+(?:would|will|really|just|am|are|so))*)\s+)?"
)
_BETWEEN = (
    r"(?:(?:any|all|these|those|an?|the|it|them|to\s+be|to\s+have|in|with|of|wear|want|have|anything|something"
    r"|shades?\s+of)\s+)*"
)
_AFTER_COLOR = r"(?:\s+(?:ones?|colou?rs?|colou?red|clothes|clothing|things?|garments?|in\s+it))?"
_END = (
    r"(?=\s*(?:$|[.,;:!?)\]\"']|(?:and|or|but|with|without|in|on|from|for|please|at|which|that|because"
    r"|no|not)\b))"
)


def _exclusion_of(negations: str, joint: str) -> re.Pattern[str]:
    """Return a regular expression that matches exclusions such as "not red" or "not red or blue".

    An exclusion has one value (a color or a pattern) or a list of values.

    Args:
        negations: Regular expression of the excluding phrases, such as "not" or "avoid".
        joint: Regular expression of the words that may join the last value of a list, such as
            "or|nor".
    """
    more = rf"(?:\s*,\s*{_BETWEEN}{_VALUE})*(?:\s*,?\s*\b(?:{joint})\s+|\s*/\s*){_BETWEEN}{_VALUE}"
    return compile_lazily(
        rf"(?<![\w'-]){_PERSON}(?:(?:with|has|have|having)\s+)?(?P<negation>{negations})(?:(?<=-)|(?<=\bnon)|(?<=\bun)|\s+){_BETWEEN}"
        rf"(?P<values>{_VALUE}(?:{more})*){_AFTER_COLOR}{_END}",
        re.IGNORECASE,
    )


_EXCLUSIONS = (
    _exclusion_of(f"{_VERBS}|{_pattern_of(_OF_ALL)}", "or|nor|and"),
    _exclusion_of(f"{_MODALS}|{_pattern_of(_OF_FIRST)}|non-?|un-?", "or|nor"),
)
_ANY_VALUE = compile_lazily(_BARE_VALUE, re.IGNORECASE)

_OLD = rf"{SHADED_COLOR}(?:(?:\s*,\s*|\s+)(?:or|nor)\s+{SHADED_COLOR})*"
_PREFERRING = (
    r"(?:(?:i|we)(?:'d|\s+would)?\s+)?(?:prefer|(?:would\s+)?rather(?:\s+(?:have|take|want|wear))?)"
)
_CHOOSING = (
    r"(?:i(?:'d|\s+would)?\s+)?(?:go\s+(?:for|with)|choose|pick|take|use|try|have|want|like|prefer"
    r"|make\s+it|(?:give|show|find)\s+me|it\s+should\s+be)"
)
_REPLACE = r"(?:replace|swap|exchange|trade|switch|substitute)"
_WITH_NEW = r"(?:for|with|by|to|into)\s+(?:an?\s+)?"
_SWAP = compile_lazily(
    rf"(?<![\w'-])(?:"
    rf"(?:in\s+)?(?P<new1>{SHADED_COLOR})\s*(?:,\s*)?(?:(?:and|but)\s+)?"
    rf"(?:instead\s+of|rather\s+than|not|never|no\s+longer)\s+(?:in\s+|the\s+)?{_OLD}"
    rf"|(?:is\s+)?(?:not|never|instead\s+of|rather\s+than)\s+(?:in\s+)?{_OLD}\s*,?\s*but\s+"
    rf"(?:rather\s+|instead\s+)?(?:in\s+)?(?P<new2>{SHADED_COLOR})"
    rf"|(?:instead\s+of|rather\s+than|not)\s+(?:in\s+)?{_OLD}\s*,\s*in\s+(?P<new3>{SHADED_COLOR})"
    rf"|(?:(?:change|turn|from)\s+)?(?:it\s+)?(?:from\s+)?(?:the\s+)?{SHADED_COLOR}"
    rf"(?:\s+(?:in)?to\s+|\s*>\s*)"
    rf"(?P<new4>{SHADED_COLOR})"
    rf"|{_PREFERRING}\s+(?:it\s+)?(?:in\s+)?(?P<new7>{SHADED_COLOR})\s+(?:to|over|than)\s+(?:in\s+)?{_OLD}"
    rf"|{_REPLACE}\s+(?:the\s+)?{SHADED_COLOR}\s+{_WITH_NEW}(?:the\s+)?(?P<new5>{SHADED_COLOR})"
    rf"|(?:instead\s+of|rather\s+than)\s+(?:in\s+|the\s+)?{_OLD}\s*,?\s+(?:{_CHOOSING})\s+(?:it\s+)?"
    rf"(?:in\s+)?(?P<new6>{SHADED_COLOR})"
    rf"|(?P<new8>{SHADED_COLOR})\s+where(?:ver)?\s+(?:(?:the|this|that)\s+)?\w+(?:'s|\s+(?:is|was|are|were))"
    rf"\s+{_OLD}"
    rf"){_END}",
    re.IGNORECASE,
)
# "make that red t-shirt green".
_MADE = compile_lazily(
    rf"(?<![\w'-])(?:make|turn|dye)\s+(?:that|the|this|my|an?)\s+{SHADED_COLOR}\s+(?P<kind>{KINDS})\s+"
    rf"(?:in\s+)?(?P<new>{SHADED_COLOR}){_END}",
    re.IGNORECASE,
)
# "red dress to blue", and "stripes to dots" or "from striped to plain".
_RECOLORED = compile_lazily(
    rf"(?<![\w'-])(?:(?:change|turn|make|from)\s+)?(?:an?\s+|the\s+)?{SHADED_COLOR}\s+(?P<kind>{KINDS})"
    rf"(?:\s+(?:in)?to\s+|\s*>\s*)(?:an?\s+|the\s+)?(?P<new>{SHADED_COLOR})(?:\s+(?:one|(?:{KINDS})))?{_END}",
    re.IGNORECASE,
)
# "blue jeans but in gray", "this red dress in blue": the first color is that of the picture.
_OLD_COLORS = rf"(?:{SHADED_COLOR})(?:\s+and\s+{SHADED_COLOR})?"
_COLORED_WORDS = rf"(?:\s+(?!(?:{COLORS}|and|or|but|no|not|without|nor)\b)[\w'-]+){{0,5}}?"
_BUT_COLOR = compile_lazily(
    rf"(?<![\w'-])(?:{_OLD_COLORS}(?P<thing>{_COLORED_WORDS})\s*,?\s+but\s+"
    r"(?:(?:please|rather|instead|actually|now|this\s+time|make|turn|have|want|need|get|it|this|that|them|one|into|to"
    r"|in|an?|the|i|i'd|would|like|prefer|should|be)\s+)*"
    rf"|(?:this|that|these|those|(?:the\s+)?same)\s+{_OLD_COLORS}(?P<this>{_COLORED_WORDS})"
    rf"\s*,?\s+in\s+(?:an?\s+)?)(?P<new>{SHADED_COLOR})(?:\s+(?:ones?|instead|please|version))*{_END}",
    re.IGNORECASE,
)
_OF_ANY = compile_lazily(
    r"\b(?:any|anything|all|every|everything|each|nothing|none|something)\s+$", re.IGNORECASE
)
# "swap the color for green", "tone it down to pink", "the black version".
_TO_COLOR = compile_lazily(
    r"(?<![\w'-])(?:(?:tone|turn|bring|change|switch|swap|make)\s+"
    r"(?:it|that|this|them|(?:(?:the|its)\s+)?colou?rs?)\s+(?:down\s+|up\s+)?(?:(?:in)?to|for|with|by)\s+(?:an?\s+)?"
    rf"(?P<to>{SHADED_COLOR})"
    rf"|(?:the|an?|its)\s+(?P<version>{SHADED_COLOR})\s+(?:version|variant|alternative|edition)"
    rf"(?:\s+of\s+(?:this|it|that|these)(?:\s+ones?)?)?"
    rf"|^(?:the|an?)\s+(?P<one>{SHADED_COLOR})\s+ones?){_END}",
    re.IGNORECASE,
)
_PATTERN_SWAP = compile_lazily(
    rf"(?<![\w'-])(?:(?:(?:change|turn|make|from)\s+)?(?:an?\s+|the\s+)?(?:{PATTERN_NAMES}|plain)"
    rf"(?:\s+(?P<kind>{KINDS}))?(?:\s+(?:in)?to\s+|\s*>\s*)(?P<new>{PATTERN_NAMES}|plain)"
    rf"|{_REPLACE}\s+(?:the\s+)?(?:{PATTERN_NAMES}|plain)\s+{_WITH_NEW}(?P<other>{PATTERN_NAMES}|plain)"
    rf"|(?:with\s+)?(?P<instead>{PATTERN_NAMES})\s*,?\s+(?:instead\s+of|rather\s+than)\s+(?:the\s+)?"
    rf"(?:{PATTERN_NAMES})){_END}",
    re.IGNORECASE,
)
_SLEEVES = r"(?:long|short|elbow|half|cap)"
# "swap long sleeves for short", "long sleeves to short ones".
_SLEEVE_SWAP = compile_lazily(
    rf"(?<![\w'-])(?:(?:{_REPLACE}|change|turn|make|from)\s+)?(?:the\s+)?{_SLEEVES}[\s-]sleeves?\s+"
    rf"{_WITH_NEW}(?:(?P<new>{_SLEEVES})(?:[\s-]sleeves?|\s+ones?)?|(?P<none>none|no\s+sleeves)){_END}",
    re.IGNORECASE,
)
_PART = "|".join(PARTS)
# "swap the jeans for a skirt", "swap the collar for a hood", "buttons instead of a zip".
_THING_SWAP = compile_lazily(
    rf"(?<![\w'-])(?:(?:{_REPLACE}|change|turn)\s+(?:(?:the|my|this|these|its)\s+)?"
    rf"(?:(?:{KINDS})\s+{_WITH_NEW}(?:the\s+|some\s+)?(?P<kind>{KINDS})"
    rf"|(?:{DETAIL})\s+{_WITH_NEW}(?:the\s+|some\s+)?(?P<detail>{DETAIL}))"
    rf"|(?:from\s+|^)(?:an?\s+)?(?:{_PART})\s+(?:in)?to\s+(?:an?\s+)?(?P<part>{_PART})"
    rf"|(?:with\s+)?(?:an?\s+|the\s+)?(?P<instead>{_PART})\s*,?\s+(?:instead\s+of|rather\s+than)\s+"
    rf"(?:an?\s+|the\s+)?(?:{_PART})"
    rf"|(?:turn|make|change)\s+(?:it|this|these|that)\s+(?:in)?to\s+(?:an?\s+)?(?P<into>{KINDS})){_END}",
    re.IGNORECASE,
)
# "not striped enough", "not red enough".
_NOT_ENOUGH = compile_lazily(
    rf"(?<![\w'-])(?:not|isn't|aren't)\s+(?P<value>{SHADED_COLOR}|{PATTERN_NAMES}|plain)\s+enough{_END}",
    re.IGNORECASE,
)
_PATTERN_OR_PLAIN = compile_lazily(rf"{PATTERN_NAMES}|plain", re.IGNORECASE)
# "everything the same except the color: green", and without a value.
_SAME_EXCEPT = compile_lazily(
    r"(?<![\w'-])(?:(?:keep\s+)?(?:everything|all|it)\s+(?:(?:is|be|stays?|should\s+be)\s+)?)?"
    r"(?:exactly\s+)?(?:the\s+)?(?:same|identical)\s*,?\s*"
    r"(?:except|but|(?:apart|aside)\s+from|other\s+than|save)(?:\s+for)?\s+(?:not\s+)?(?:the\s+|its\s+)?"
    r"(?P<attribute>colou?rs?|patterns?|prints?|sleeves?|lengths?|necklines?|collars?|fabrics?|materials?)"
    r"(?:\s*[:,-]?\s+(?:(?:is|should\s+be|to\s+be|in|with)\s+)*"
    rf"(?P<value>{SHADED_COLOR}|{PATTERN_NAMES}|plain|{_SLEEVES}(?=(?:\s+sleeves?)?{_END})))?(?:\s+sleeves?)?{_END}",
    re.IGNORECASE,
)
# "everything but the color", without a value.
_ALL_BUT_ATTRIBUTE = compile_lazily(
    r"(?<![\w'-])(?:keep\s+)?(?:everything|anything|all|it\s+all)\s+(?:but|except(?:\s+for)?)\s+(?:the|its)\s+"
    r"(?P<attribute>colou?r|pattern|print|length|neckline|fabric|material)(?=\s*[.!]*$)",
    re.IGNORECASE,
)
# A cut or shade -> its comparative, and that of its opposite.
_COMPARATIVES = {
    "long": ("longer", "shorter"),
    "short": ("shorter", "longer"),
    "cropped": ("more cropped", "longer"),
    "dark": ("darker", "lighter"),
    "deep": ("deeper", "lighter"),
    "light": ("lighter", "darker"),
    "pale": ("paler", "darker"),
    "bright": ("brighter", "darker"),
    "tight": ("tighter", "looser"),
    "slim": ("slimmer", "looser"),
    "loose": ("looser", "tighter"),
    "baggy": ("looser", "tighter"),
    "wide": ("wider", "narrower"),
    "narrow": ("narrower", "wider"),
}
_SHAPES = "|".join(_COMPARATIVES)
# Parts whose cut is excluded by its name: "without wide brim" must not become "narrower brim".
_PARTS_WITH_CUT = (
    r"brims?|legs|straps?|heels?|soles?|hems?|shafts?|lengths?|fit|toes?|collars?|necks?|necklines?"
    r"|lapels?|pockets?|handles?|tops?|cut|shapes?"
)
# "less long sleeves", "not so dark", "the sleeves are too short", "not long enough".
_LESS = compile_lazily(
    r"(?<![\w'-])(?P<subject>(?:the\s+)?sleeves\s+(?:are|look)\s+)?"
    rf"(?:not\s+(?P<scarce>{_SHAPES})\s+enough"
    r"|(?:less|(?:not\s+)?(?:a\s+bit\s+|much\s+|far\s+)?too|(?:not|nothing|nowhere)\s+"
    r"(?:(?:nearly|near|like|half|remotely)\s+)?(?:so|as|such|that|very|quite)"
    r"|far\s+from(?:\s+(?:so|as))?"
    rf"|not|no|without|never|isn't|aren't)\s+(?:an?\s+|the\s+|any\s+)?(?P<shape>{_SHAPES})"
    rf"(?:[\s-](?P<sleeves>sleeve[sd]?))?)(?!-)(?!\s+(?:{COLORS}|{_PARTS_WITH_CUT}))\b",
    re.IGNORECASE,
)
# Garments whose name begins with that of another kind of garment.
_COMPOUND = compile_lazily(
    r"(?<![\w'-])(?:dress\s+(?P<formal>pants|trousers|slacks|shoes?|boots?|sandals?|socks|hats?)"
    r"|jeans?\s+(?P<denim>jackets?|shirts?|skirts?|shorts|vests?|dress(?:es)?|coats?))(?![\w'-])",
    re.IGNORECASE,
)
# "nothing but red", "no color other than red", "no other color than red".
_ONLY_VALUE = compile_lazily(
    rf"(?<![\w'-]){_PERSON}(?:{ONLY.pattern})\s+{_BETWEEN}(?P<value>{SHADED_COLOR}|plain){_END}",
    re.IGNORECASE,
)
_OTHER_COLOR = compile_lazily(
    rf"(?<![\w'-])(?:in\s+|of\s+)?(?:any\s+|some\s+|an\s+)?other\s+colou?rs?{_END}", re.IGNORECASE
)
_ABSENT_PART = compile_lazily(
    r"(?<![\w'-])(?P<part>hood|collar|button|zip|belt|lace|strap|pocket|buckle)less(?![\w'-])",
    re.IGNORECASE,
)
_ADJECTIVE_ENDINGS = ("ed", "less", "y", "floral", "plain")
_PATTERN_ADJECTIVES = [
    name
    for names in PATTERNS
    for name in names.split("|")
    if name.endswith((*_ADJECTIVE_ENDINGS, "plaid"))
]
# "stripeless", and "unstriped shirt": where no garment follows, "non-striped" is an exclusion.
_ABSENT_PATTERN = compile_lazily(
    r"(?<![\w'-])(?:(?:stripe|dot|flower|check|print|graphic|logo)s?(?:-?less|[\s-]free)(?![\w'-])"
    rf"|(?:un|non)[\s-]?(?:{'|'.join(_PATTERN_ADJECTIVES)})(?=\s+(?:(?:{SHADED_COLOR}|[^\W\d_]+)\s+)?(?:{KINDS})\b))",
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
    rf"(?<![\w'-])(?:no|without)\s+(?:any\s+|a\s+)?check{_END}", re.IGNORECASE
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
    rf"|(?:as\s+)?(?:{COLORS})\s+(?:as|like)\s+(?:an?\s+|the\s+)?(?P<like>{_NAMESAKE})){_END}",
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
# "is not ok", "not wanted", "are ugly", "are out".
_IS_REJECTED = (
    r"(?:(?:(?:(?:is|are)\s+)?(?:not|never)|isn't|aren't)\s+(?:ok(?:ay)?|good|wanted|allowed|fine"
    r"|acceptable|welcome|nice|needed|an?\s+option|for\s+me|my\s+\w+)"
    r"|(?:is|are|looks?)\s+(?:so\s+|too\s+|very\s+|really\s+)?(?:ugly|hideous|awful|horrible|terrible"
    r"|boring|bad|disgusting|cheap|tacky|childish)|(?:(?:is|are)\s+not|isn't|aren't)\s+for\s+\w+"
    r"|(?:is|are)\s+(?:(?:way|far|a\s+bit|simply|just)\s+)*too\s+much"
    r"|(?:(?:really\s+)?clash(?:es)?\s+with|do(?:es)?n't\s+(?:suit|flatter|go\s+with)|never\s+suits?)\s+(?:my\s+)?\w+"
    r"|(?:makes?|gives?)\s+(?:me|her|him|us)\s+(?:look\s+)?(?:like\s+)?(?:an?\s+)?\w+"
    r"|(?:is|are)\s+(?:so\s+)?last\s+(?:year|season)|(?:is|are)\s+a\s+(?:bit|little)\s+much"
    r"|(?:is|are)\s+out(?:\s+this\s+(?:year|season))|(?:isn't|aren't)\s+(?:my|her|his)\s+\w+"
    r"|(?:is|are)\s+(?:out(?:\s+of\s+the\s+question)?|an?\s+(?:no|no[\s-]go|turn[\s-]?off|deal[\s-]?breaker)|unacceptable"
    r"|taboo|off\s+(?:the\s+table|limits))|off\s+(?:the\s+table|limits)|needs?\s+not\s+apply|gets?\s+on\s+my\s+nerves"
    r"|(?:(?:has|have|had|needs?|ought)\s+(?:got\s+)?to|must|should|can)\s+(?:go(?:\s+away)?|be\s+gone)"
    r"(?!\s+(?:with|well|to|under|over|from|on))|(?:(?:is|are|be)\s+)?gone)"
)
# "red is not ok", "stripes not wanted", "checks are out", "replace the red".
_REJECTED = compile_lazily(
    rf"(?<![\w'-])(?:the\s+|any\s+)?(?P<values>{_BARE_VALUE}(?:\s+(?:or|and|nor)\s+{_BARE_VALUE})*)"
    rf"(?:\s+ones?)?(?:\s+{_IS_REJECTED}|\s*,\s*no\s+(?:thanks|thank\s+you)){_END}"
    rf"|(?<![\w'-])(?:replace|swap(?:\s+out)?|hide)\s+(?:the\s+|any\s+)?"
    rf"(?P<replaced>{_BARE_VALUE}(?:\s+(?:or|and|nor)\s+{_BARE_VALUE})*)"
    rf"(?!\s+(?:with|by|for|to)\b){_END}",
    re.IGNORECASE,
)
# The same of parts, cuts and kinds of garments: "long sleeves are a no-go", "skirts are out". Up to
# two other words may come before the name, such as "puffy".
_REJECTED_DETAIL = compile_lazily(
    r"(?:(?<=^)|(?<=[,.;:!?]\s)|(?<=\bbut\s)|(?<=\band\s)|(?<=\bsince\s)"
    r"|(?<=\bbecause\s))(?:the\s+|any\s+)?(?P<thing>(?:(?!but\b|and\b|the\b|any\b|since\b|because\b)[\w'-]+\s+){0,2}?"
    rf"(?:{DETAIL}|{KINDS}))\s+{_IS_REJECTED}{_END}",
    re.IGNORECASE,
)
# "lose the long sleeves": parts and cuts after verbs, which models overlook.
_REMOVED_MOTIF = compile_lazily(
    rf"(?<![\w'-])(?:{REMOVING})\s+(?:the|that|this|its|those|these)\s+"
    r"(?:picture|image|drawing|animal|cartoon|word|letter|photo|motif)s?"
    rf"(?:\s+on\s+(?:the\s+|its\s+)?(?:front|back|chest))?{_END}",
    re.IGNORECASE,
)
_REMOVED_DETAIL = compile_lazily(
    rf"(?<![\w'-])(?:{REMOVING})\s+(?:(?:the|any|those|these|its)\s+)?(?P<thing>{DETAIL}){_END}",
    re.IGNORECASE,
)
# "less striped", "too many flowers", "too red", "as few stripes as possible", "not as red".
_LESS_PATTERN = compile_lazily(
    rf"(?<![\w'-])(?:(?:less|fewer)\s+(?P<pattern>{'|'.join(PATTERNS)})"
    r"|(?:a\s+bit\s+|a\s+little\s+|way\s+|far\s+|much\s+)?too(?:\s+(?:many|much))?\s+"
    rf"(?P<value>{_BARE_VALUE})(?:\s+(?:ones?|things|clothes))?(?:\s+already)?"
    rf"|(?:with\s+)?as\s+(?:few|little)\s+(?P<least>{_BARE_VALUE})\s+as\s+possible"
    rf"|(?:not|nothing)\s+(?:quite\s+|nearly\s+)?(?:so|as|that)\s+(?P<color>{SHADED_COLOR})){_END}",
    re.IGNORECASE,
)
_ANY_THING_NAME = rf"(?:{DETAIL}|{_BARE_VALUE}|{KINDS})"
_EACH_THING = compile_lazily(rf"(?<![\w'-]){_ANY_THING_NAME}(?![\w'-])", re.IGNORECASE)
_EXCEPT = (
    r"(?:but|except(?:\s+for)?|excepting|excluding|save(?:\s+for)?|besides?|bar"
    r"|(?:apart|aside)\s+from|other\s+than|than)"
)
# "any dress but red", "in all shades but red", "another color than red", "something but red". "But
# in red" after the name of a garment asks for red.
_ALL_BUT = compile_lazily(
    r"(?<![\w'-])(?:(?:in|with|of)\s+)?(?:(?:any|all|each|every|another|other)\s+"
    r"(?:of\s+(?:the|these|your)\s+)?(?:other\s+|different\s+)?(?:the\s+)?"
    rf"(?:(?:colou?r(?:ed)?|shade|pattern|kind|sort|type)s?\s+(?:of\s+)?)?(?:(?P<kind>{KINDS})"
    r"|(?:colou?r|shade|pattern|print|design|thing|one|style|type|sort|kind|garment|item|piece|product"
    r"|clothes|clothing)s?)"
    r"|some\s+(?:other\s+)?(?:colou?r|shade|pattern|print|design)s?|something|someone"
    r"|(?:any|every)\s*thing\s+else)"
    rf"\s*,?\s*{_EXCEPT}\s+(?:with\s+|an?\s+|the\s+|any\s+)*"
    rf"(?P<things>{_ANY_THING_NAME}(?:(?:\s*,\s*(?:(?:or|and|nor)\s+)?|\s+(?:or|and|nor)\s+)"
    rf"(?:in\s+|an?\s+|the\s+)?{_ANY_THING_NAME})*){_AFTER_COLOR}{_END}",
    re.IGNORECASE,
)
# "it doesn't have to be red", which excludes nothing.
_NOT_REQUIRED = compile_lazily(
    r"\b(?:(?:do(?:es)?n't|do(?:es)?\s+not)\s+(?:have|need)\s+to|needs?(?:n't|\s+not))"
    r"\s+(?:be|have)\s+(?:\w+\s+)?\w+$",
    re.IGNORECASE,
)
# "less like a jacket", "more cardigan than jacket", "more like a cardigan, less like a jacket",
# "rather a skirt than a dress".
_LESS_LIKE = compile_lazily(
    rf"(?<![\w'-])less\s+(?:like|of)\s+(?:an?\s+)?(?P<old>{KINDS}){_END}"
    rf"|(?<![\w'-])(?:more|rather)\s+(?:like\s+|of\s+)?(?:an?\s+)?(?P<new>{KINDS})"
    rf"\s*(?:,\s*(?:and\s+)?less|than)\s+(?:like\s+|of\s+)?(?:an?\s+)?(?P<former>{KINDS}){_END}",
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
    rf"(?<![\w'-])(?:stripped|strips|loose(?=\s+(?:the|those|these)\s+(?:{_BARE_VALUE}|{DETAIL}){_END})|lose(?=[\s-]+(?:fit|fitting|cut)\b)"
    rf"|plane(?=\s+(?:{COLORS}|{KINDS})\b))(?![\w'-])",
    re.IGNORECASE,
)
# "in any color but not red", in which "any color but" is no negation.
_ANY_COLOR_BUT_NOT = compile_lazily(
    r"(?<![\w'-])((?:any|every|all)\s+colou?rs?)\s*,?\s*but\s+(?=(?:not|no|never|without)\b)",
    re.IGNORECASE,
)
_PUT = r"leave|take|keep|rule|throw|kick|cut|get|filter|sort|weed|edit"
_PUT_ELSEWHERE = compile_lazily(rf"\b(?:{_PUT})\s[^,.;:!?]*$", re.IGNORECASE)
# Values that a text may exclude of one kind of garment.
_VALUE_OF_KIND = (
    rf"(?:{SHADED_COLOR}|{'|'.join(PATTERNS)}|hooded|collared|belted|sleeveless"
    r"|(?:long|short)[\s-]sleeved?)"
)
_EACH_VALUE_OF_KIND = compile_lazily(rf"(?<![\w'-]){_VALUE_OF_KIND}(?![\w'-])", re.IGNORECASE)
_PATTERN_NOUNS = "stripes|flowers|checks|dots|spots|polka[ -]dots|prints|graphics|logos|patterns"
# "red out, blue in", "less of the red", "checks less"; but "back cut out" describes a cut.
_PUT_OUT = compile_lazily(
    rf"(?<![\w'-])(?:(?:less|fewer)\s+of\s+(?:the|that|those|this)\s+(?P<less>{_ANY_THING_NAME})"
    rf"|(?P<out>(?!cut\b){_ANY_THING_NAME})\s+out"
    rf"|(?:with\s+)?(?P<lacking>{_PATTERN_NOUNS})\s+less){_END}",
    re.IGNORECASE,
)
# A list needs "or" or "and": "forget red, green t-shirt" excludes red alone.
_VALUES_OF_KIND = (
    rf"{_VALUE_OF_KIND}(?:(?:(?:\s*,\s*{_VALUE_OF_KIND})*"
    rf"(?:\s*,)?\s*\b(?:or|nor|and))?\s+{_VALUE_OF_KIND})*"
)
_THINGS_IN_LIST = (
    rf"{_ANY_THING_NAME}(?:(?:\s*,\s*{_ANY_THING_NAME})*(?:\s*,)?\s*\b(?:or|nor|and)\s+(?:the\s+|in\s+|an?\s+)?"
    rf"{_ANY_THING_NAME})?"
)
# What verbs exclude: "white", "the white ones", "checks or dots", "the white t-shirts".
_UNWANTED_ARTICLE = r"(?:(?:the|all|any|those|these|that|this|its|an?|every|in|with)\s+)*"
_UNWANTED_KIND = (
    rf"(?P<values>{_VALUES_OF_KIND})"
    rf"\s+(?P<kind>{KINDS})(?:\s+(?:and|or)\s+(?:the\s+)?(?P<others>{_BARE_VALUE})\s+ones)?"
)
_UNWANTED = rf"{_UNWANTED_ARTICLE}(?:{_UNWANTED_KIND}|(?P<things>{_THINGS_IN_LIST}){_AFTER_COLOR})"
# "steer clear of black t-shirts", "I'm done with black trousers".
_REFUSED_KIND = compile_lazily(
    rf"(?<![\w'-]){_PERSON}(?P<verb>{_VERBS}|no\s+more|(?:do(?:n't|\s+not))\s+want)\s+(?P<of>of\s+)?"
    rf"{_UNWANTED_ARTICLE}{_UNWANTED_KIND}{_END}",
    re.IGNORECASE,
)
_BUT_ANOTHER = compile_lazily(r"\s*,?\s*but\s+(?!(?:not|no|without)\b)", re.IGNORECASE)
# "give black t-shirts a miss", "kiss black t-shirts goodbye".
_MISSED = compile_lazily(
    rf"(?<![\w'-])(?:give|kiss|wave)\s+{_UNWANTED}\s+(?:a\s+(?:miss|rest|pass|break)|goodbye){_END}",
    re.IGNORECASE,
)
_DO_NOT = r"(?:do(?:n't|\s+not)|never)"
# Verbs that exclude what comes after them, such as "forget about cotton"; what stands between
# their words ("leave cotton out"); and what comes before them ("cotton excluded"). The search's
# notes name them where the thing is unknown. The noun "cut" has no article after it ("a cut in
# red").
SPARING = (
    r"(?:(?:spare|save)\s+(?:me|us)(?:\s+from)?|(?:let's\s+)?forget(?:\s+about)?"
    r"|(?:hard\s+)?pass\s+on|stop\s+(?:it\s+)?with|(?:do\s+)?away\s+with|to\s+hell\s+with|dispense\s+with"
    r"|(?:ignore|disregard|quit|nix|axe|scrap|dump|erase|banish|purge|subtract|deduct|strip\s+(?:out|away)"
    r"|(?:leave|filter|weed|throw|rule|edit|wipe|take|keep|cross|sort)\s+out)"
    r"|(?<!\ba\s)(?<!\bthe\s)(?<!\bshort\s)(?<!\bdeep\s)(?<!\blow\s)(?:cut|hold|kill|strike|bin|toss|chuck)"
    r"(?=\s+(?:the|all|those|these|that)\s)"
    rf"|{_DO_NOT}\s+(?:give|show|send|bring|offer|suggest|recommend|find|get)\s+(?:me|us)"
    rf"|{_DO_NOT}\s+(?:include|suggest|recommend|pick|choose|add|use|bring\s+up|make\s+it|show)"
    r"|(?:^|(?<=[,.;:!?-]\s))(?:(?:down|off)\s+with|so\s+over))"
)
OVER = (
    r"(?:i(?:'m|\s+am)|we(?:'re|\s+are)|get|getting|got)\s+(?:so\s+|totally\s+|completely\s+)?over"
)
LEAVING, LEFT_OUT = (
    rf"(?:{_PUT}|wipe|toss)",
    r"(?:out|off|away|aside)",
)
TAKEN_OUT = (
    r"(?:(?:cut|left|taken|kept|edited|filtered|ruled|crossed|wiped|thrown|weeded)\s+(?:out|off|away)"
    r"|removed|deleted|erased|omitted|dropped|excluded|eliminated|banned|forbidden|excepted|gone)"
)
_IT = r"(?:\s+of\s+(?:it|this|that|the\s+(?:results?|list|search|picture|selection)))?"
# "leave the stripes out", "take the hood off", "keep the white t-shirts out of it".
_LEFT_OUT = compile_lazily(
    rf"(?<![\w'-])(?:please\s+)?{LEAVING}\s+{_UNWANTED}\s+{LEFT_OUT}{_IT}{_END}",
    re.IGNORECASE,
)
# "spare me the white", "forget about stripes", "don't show me white ones", "cut the checks". "Down
# with" joins words ("button down with"), except at the start of a sentence.
_SPARED = compile_lazily(
    r"(?<![\w'-])(?:please\s+)?(?:(?:(?:i|we)(?:'d|'ll|'m|'re|\s+would|\s+will|\s+am|\s+are)?\s+)?(?:just\s+)?"
    rf"(?:{SPARING}"
    rf"|(?<!-)cut\s+out(?=\s+(?:(?:the|all|those|these|that|any)\s|{SHADED_COLOR}\b|{PATTERN_NAMES})))"
    rf"|{OVER}(?=\s+(?:the\s+)?{_BARE_VALUE}))\s+{_UNWANTED}{_IT}{_END}",
    re.IGNORECASE,
)
# "with the checks cut out", "checks removed", "the white t-shirts left out". Of cuts, "waist cut
# out" describes one.
_TAKEN_OUT = compile_lazily(
    r"(?<![\w'-])(?:(?:with|but|have|having|want|get|anything|everything)\s+)?(?:(?:the|all|any|those|these|its)\s+)*"
    rf"(?:(?P<values>{_VALUES_OF_KIND})"
    rf"\s+(?P<kind>{KINDS})|(?P<things>{_BARE_VALUE}(?:\s+(?:or|and|nor)\s+{_BARE_VALUE})*){_AFTER_COLOR})"
    r"\s+(?:(?:is|are|be|to\s+be|(?:should|must)\s+be|being)\s+)?"
    rf"{TAKEN_OUT}{_IT}{_END}",
    re.IGNORECASE,
)
# "a different color from white", "a pattern that differs from checks", "different to white".
_ATTRIBUTE_NAME = r"(?:colou?r|shade|hue|tone|pattern|print|design|motif)s?"
DIFFERING = rf"differs?(?:\s+in\s+{_ATTRIBUTE_NAME})?\s+from"
_DIFFERENT = compile_lazily(
    r"(?<![\w'-])(?:(?:in|with|of|has|have)\s+)?(?:(?:any|some|an?|the|all|every)\s+)?"
    rf"(?:(?:(?:other|very|completely|totally|entirely|quite)\s+)*(?:different|distinct)\s+{_ATTRIBUTE_NAME}"
    r"\s+(?:from|than|compared\s+(?:to|with))"
    rf"|(?:an?other|different|other)\s+{_ATTRIBUTE_NAME}\s+from"
    rf"|(?:(?:other\s+)?(?:{_ATTRIBUTE_NAME}|things?|ones?|something|anything)\s+)?"
    r"(?:(?:that|which)\s+)?(?:(?:is|are|be|should\s+be|must\s+be)\s+)?"
    r"(?:(?:very|completely|totally|entirely|quite)\s+)*"
    r"(?:(?:different|distinct|differing|far(?:\s+away)?|away)\s+from|different\s+(?:to|than)"
    rf"|{DIFFERING}))"
    r"\s+(?:an?\s+|the\s+)?"
    rf"(?P<things>{_THINGS_IN_LIST}){_AFTER_COLOR}{_END}",
    re.IGNORECASE,
)
# "any color so long as it is different", "whatever pattern, provided it changes".
_ANY_DIFFERENT = compile_lazily(
    r"(?<![\w'-])(?:in\s+|with\s+)?(?:any|whatever|whichever|every|some)\s+"
    r"(?P<attribute>colou?r|shade|pattern|print|design)s?\s*,?\s+"
    r"(?:just|only|but|(?:as|so)\s+long\s+as|provided(?:\s+that)?|providing|if|that|which|when)\s+"
    r"(?:(?:it|this|that|they)(?:'s|\s+is|\s+are)?\s+)?(?:is\s+|are\s+)?"
    r"(?:different|differs?|changes?|changed|an?other(?:\s+(?:one|colou?r|pattern))?"
    r"|(?:not|isn't)\s+(?:the\s+same|this|that|it)(?:\s+one)?)"
    r"(?:\s+(?:from|to|than)\s+(?:this|that|it|the\s+(?:picture|photo|image|original)|before)(?:\s+one)?)?"
    rf"{_END}",
    re.IGNORECASE,
)
# "blue in" beside what is put out.
_PUT_ASIDE = compile_lazily(r"(?:^|,\s)(?:but\s+)?(?:not|no|without)\s", re.IGNORECASE)
_PUT_IN = compile_lazily(
    rf"(?:^|(?<=,\s))(?:and\s+|more\s+of\s+(?:the|that)\s+)?(?P<wanted>{SHADED_COLOR}|{'|'.join(PATTERNS)})\s+in{_END}",
    re.IGNORECASE,
)
# "no blue jeans", "not a sleeveless dress" and "no blue or striped shirts": the text excludes some
# values of a kind of garment.
_NO_VALUE_KIND = compile_lazily(
    r"(?<![\w'-])(?:not|no|never|without|avoid|(?:anything|everything|all)\s+(?:but|except(?:\s+for)?)"
    r"|(?:apart|aside)\s+from|except(?:\s+for)?|save\s+for|(?:with\s+)?(?:the\s+)?exception\s+of)\s+(?:an?\s+|any\s+|the\s+)?"
    rf"(?P<values>{_VALUE_OF_KIND}(?:(?:(?:\s*,\s*{_VALUE_OF_KIND})*(?:\s*,)?\s*\b(?:or|nor))?\s+(?:an?\s+)?"
    rf"{_VALUE_OF_KIND})*)\s+(?P<kind>{KINDS}){_END}",
    re.IGNORECASE,
)
# "keep the stripes", "the color stays": what does not change.
_ATTRIBUTE = r"(?:colou?r|pattern|print|shape|length|style|cut|fit|fabric|material|neckline)s?"
_UNCHANGED = compile_lazily(
    r"(?:(?<=^)|(?<=[,;.]\s)|(?<=\band\s)|(?<=\bbut\s))(?:(?:please\s+)?(?:keep|leave|retain)\s+(?:(?:the|its|this|that)\s+)?"
    rf"(?:same\s+)?(?:{_ANY_THING_NAME}|{_ATTRIBUTE})(?:\s+(?:as\s+(?:it\s+|they\s+)?(?:is|are)|the\s+same))?"
    rf"|(?:(?:the|its)\s+)?{_ATTRIBUTE}\s+(?:(?:should\s+)?(?:stays?|remains?)(?:\s+the\s+same)?"
    r"|as\s+(?:it\s+)?is))(?=\s*(?:$|[,;.!]|(?:but|and)\b))",
    re.IGNORECASE,
)
# A value that corrects an earlier one: "red t-shirt. Make that green", "stripes - no, dots".
_COLOR_LIST = rf"{SHADED_COLOR}(?:(?:\s*,\s*|\s*/\s*|\s+)(?:and\s+|or\s+)?{SHADED_COLOR})*"
_LENGTH_OF_SLEEVES = rf"{_SLEEVES}(?=[\s-]sleeve[sd]?\b)"
# Words that only correct after a comma, a full stop or a dash; a comma follows "no". No word may be
# matched both here and in `_CORRECTING`, since the time of a match then doubles with each.
_HESITATING = (
    r"(?:no(?=\s*[,.:;!-]|\s+(?:sorry|actually|make|i\s+mean|scratch|rather|hold|hang|better)\b)"
    r"|nope|nah|sorry|pardon|apologies|(?:wh)?oops|wait|(?:hold|hang)\s+on|ah|oh|er+m?|uh+m?|u+m+|hm+|ok(?:ay)?|well|actually"
    r"|better(?:\s+(?:yet|still))?|rather|instead|my\s+(?:mistake|bad|fault)|correction|edit|update)"
)
_CORRECTING = (
    r"(?:(?:scratch|strike|cancel|undo|forget|ignore|disregard|delete)\s+(?:that|it)|make\s+(?:that|it)"
    r"|(?:change|turn|switch)\s+(?:that|it|this)\s+(?:in)?to"
    r"|(?:let's|let\s+us|lets)\s+(?:make|say|go\s+(?:for|with)|have|try|do|take)(?:\s+(?:that|it))?"
    r"|i\s+(?:(?:really|actually)\s+)?mean(?:t)?(?:\s+to\s+(?:say|write|type))?"
    r"|on\s+second\s+thoughts?|(?:i(?:'ve|\s+have)?\s+)?changed\s+my\s+mind|(?:i\s+)?take\s+(?:that|it)\s+back"
    r"|or\s+(?:rather|better(?:\s+(?:yet|still))?)|no\s+wait)"
)
_GAP = r"[\s,.;:!?()*-]+"
_BEFORE_NEW = (
    r"(?:(?:please|in|with|an?|the|it|it's|that|one|be|to|want|have|get|i|i'd|we|would|will|like|prefer|need"
    r"|make|should|say|now)[\s,]+){0,8}"
)
# Words that correct after the new value, as in "green, sorry".
_MARKED_AFTER = r"[\s,.;(-]+(?:i\s+meant?|sorry|actually|rather(?!\s+than)|instead(?!\s+of))"
_ANY_PATTERN_NAME = rf"(?:{PATTERN_NAMES}|plain)(?![\w'-])"
_NEW_COLOR = (
    rf"{_GAP}{_BEFORE_NEW}{SHADED_COLOR}(?![\w'-]|\s+(?:{PATTERN_NAMES}|{_PART}|sleeves?)\b)"
)
_CORRECTION = compile_lazily(
    rf"(?<!\bbut)(?:(?P<marked>(?:\s*[,.;!?(*-]+\s*|\s+-+\s*){_HESITATING}(?:{_GAP}(?:{_HESITATING}|{_CORRECTING}))*"
    rf"|{_GAP}{_CORRECTING}(?:{_GAP}(?:{_HESITATING}|{_CORRECTING}))*"
    # A value that is corrected itself: ", green, sorry, blue".
    rf"|(?P<chain>(?:\s*[,.;!?(]+\s*|\s+-+\s+){_BEFORE_NEW}"
    rf"(?:{_COLOR_LIST}{_MARKED_AFTER}(?={_NEW_COLOR})"
    rf"|{_ANY_PATTERN_NAME}{_MARKED_AFTER}(?={_GAP}{_BEFORE_NEW}{_ANY_PATTERN_NAME}))))"
    rf"{_GAP}|\s*[,.;!?(]+\s*|\s+-+\s+){_BEFORE_NEW}"
    rf"(?=\w)(?P<color>{_COLOR_LIST})?(?:(?:(?<=\w)\s+)?(?P<pattern>{_ANY_PATTERN_NAME}))?"
    rf"(?:(?:(?<=\w)\s+)?(?P<sleeves>{_SLEEVES})(?:(?:[\s-]sleeve[sd]?|\s+ones?)|(?=\s*(?:$|[,.;!?]))))?"
    rf"(?:(?:(?<=\w)\s+)?(?P<kind>{KINDS}))?(?<![\s,.;:!?()*-])"
    rf"(?(marked)|{_MARKED_AFTER}(?(color)(?!{_NEW_COLOR})))"
    r"(?:\s+(?:ones?|version|instead|rather|please|then|though))*"
    rf"(?:\)|{_END})(?!\s*[?:=-]+\s*(?:no|none|nope|never|off|false)\b)",
    re.IGNORECASE,
)
# "no, in red", which answers what a person has seen.
_LEADING_NO = compile_lazily(
    r"^\W*(?:(?:oh|well|ah|um+|hm+)[\s,.]+)?(?:no|nope|nah|sorry|oops|actually)\s*[,.;:!]+\s*"
    r"(?:(?:i\s+meant?|make\s+(?:it|that))[\s,:]+)?"
    rf"(?P<wish>(?:in\s+|with\s+)?(?:an?\s+)?(?:{_COLOR_LIST}|{PATTERN_NAMES}|plain)){_END}"
    r"(?!\s*[?:=-]+\s*(?:no|none|nope|never|off|false)\b)",
    re.IGNORECASE,
)
_CORRECTED = {
    "color": compile_lazily(rf"(?<![\w'-])(?:{_COLOR_LIST})(?![\w'-])", re.IGNORECASE),
    "pattern": compile_lazily(rf"(?<![\w'-])(?:{PATTERN_NAMES}|plain)(?![\w'-])", re.IGNORECASE),
    "sleeves": compile_lazily(rf"(?<![\w'-])(?:{_LENGTH_OF_SLEEVES})", re.IGNORECASE),
    "kind": ANY_KIND,
}
_ADJECTIVE_OF = {
    "stripes": "striped",
    "flowers": "floral",
    "checks": "checked",
    "dots": "dotted",
    "spots": "spotted",
    "prints": "printed",
}
# What follows a color that is not that of the garment: "red sleeves", "white dots".
_OF_A_PART = compile_lazily(
    rf"\s+(?:(?:{_SLEEVES})[\s-])?(?:{_PART}|sleeves?|{PATTERN_NAMES})(?![\w'-])(?!\s+(?:{KINDS})\b)",
    re.IGNORECASE,
)
_AFTER_NEGATION = compile_lazily(
    rf"(?<![\w'-])(?:not|never|nothing|no|nor|without|\w+n't|{_ANY_NEGATION})(?:\s+[\w'-]+){{0,3}}\s+$",
    re.IGNORECASE,
)
# "I already have it in red", but not "can I have it in red".
_OWNED = compile_lazily(
    r"(?<![\w'-])(?:(?:i|we)(?:'ve)?(?:\s+(?:already|have|got|own|bought))+|(?:already\s+)?got)"
    rf"\s+(?:(?:it|this|that|these|them|one)\s+(?:already\s+)?in\s+(?P<color>{SHADED_COLOR})"
    rf"|(?:a|the)\s+(?P<one>{SHADED_COLOR})\s+ones?)(?:\s+already)?{_END}",
    re.IGNORECASE,
)
_ASKING = compile_lazily(
    r"\b(?:can|could|may|might|shall|should|would|will|if|wish|want|when|until)\s+$", re.IGNORECASE
)
# "any shirt as long as it isn't red": a condition that all results must meet.
_AS_LONG_AS = compile_lazily(
    r"(?:,?\s|^)(?:as|so)\s+long\s+as\s+(?:it|they|that|this)(?:'s|\s+(?:is|are)(?!n't))?\s",
    re.IGNORECASE,
)
_ANY_COLOR_BAR = compile_lazily(
    r"(?<![\w'-])((?:any|every|all)\s+colou?rs?)\s+bar\b", re.IGNORECASE
)
# Text before a phrase that shows that the phrase is negated itself, as in "not without a belt"; and
# text that shows that the phrase is part of a list, as in "red and blue".
_NEGATED = compile_lazily(
    rf"(?<![\w'-])(?:not|never|nothing|no|nor|without|\w+n't|{_ANY_NEGATION})\s+(?:be\s+)?$",
    re.IGNORECASE,
)
_IN_LIST = compile_lazily(r"(?:\b(?:and|or|nor)\s+|[/&+]\s*)(?:in\s+)?$", re.IGNORECASE)
# Exclusions that models follow as well as the phrases of `_THINGS` and that stay as typed, such as
# "without a belt". Only nouns count: "without striped" is rephrased.
_NOUNS = [
    name
    for names, read in _THINGS.items()
    for name in names.split("|")
    if read.startswith("no ") and not name.endswith(("ed", "ey", "py"))
]
_FOLLOWED = compile_lazily(
    rf"(?:no|without|with no|has no)\s+(?:any\s+|an?\s+)?({'|'.join(_NOUNS)})", re.IGNORECASE
)
# Text after which "but not red" would be wrong and "not red" is used: "that is", "no stripes,".
_NO_BUT = compile_lazily(
    r"(?:^|[.!?:(]|\b(?:is|are|be|that|which|and|but|or|nor|if|why|with|in|it's|i'm|we're|looks?)"
    r"|(?:^|[,;.]|\band)\s*(?:no|not|without)\b[^,;.]*)[\s,;]*$",
    re.IGNORECASE,
)


# Before "in plain": a verb, or a pronoun that needs one.
_BEFORE_PLAIN = compile_lazily(r"\b(?:(is|are|be|looks?)|that|which|it)\s*$", re.IGNORECASE)
_IS_EXCLUDED = compile_lazily(r"\bplain\b|with a pattern")  # what excluded patterns are read as
_EXCLUDED_PATTERN = compile_lazily(rf"\b(?:{PATTERN_NAMES}|plain)\b", re.IGNORECASE)
_REPEATED_PLAIN = compile_lazily(r"\bin plain(?:(?:,\s*|\s+(?:and\s+)?)in plain\b)+")


class Rephrased(NamedTuple):
    """The result of `rephrase_exclusions`.

    Attributes:
        text: The rephrased text.
        changes: Pairs of the phrase as typed and the phrase that replaced it, in order.
        excluded: Patterns, parts and cuts that the given text excludes but `text` does not name, in
            lower case: "stripes" if "no stripes" became "in plain", "short sleeves" if "no short
            sleeves" became "longer sleeves".
    """

    text: str
    changes: tuple[tuple[str, str], ...] = ()
    excluded: tuple[str, ...] = ()


# Texts of these words alone are changed by no rule, such as "darker, with long sleeves". Many texts
# are like that. The rules, which take a third of a second to compile, are not compiled for them.
_UNCHANGED_WORDS = frozenset({
    "black", "white", "gray", "grey", "red", "pink", "orange", "yellow", "green", "teal", "blue",
    "navy", "purple", "brown", "beige", "dress", "skirt", "shirt", "t-shirt", "top", "blouse",
    "jacket", "coat", "jumper", "hoodie", "bag", "and", "with", "in", "as", "a", "an", "darker",
    "lighter", "longer", "shorter", "dark", "light", "long", "short", "sleeves", "striped",
    "stripes", "dotted", "dots", "checked", "checks", "floral", "flowers", "pockets", "buttons",
})  # fmt: skip


def rephrase_exclusions(text: str) -> Rephrased:
    """Replace exclusions and comparisons by phrases that models follow best.

    "never red", "anything but red" and "lose the red" all exclude red, but a model follows some
    phrases better than others. This function uses the phrases that the bundled checkpoint follows
    best, as measured on drawings and photographs (`tests/bench/test_exclusion_phrases.py`):

    - a color: "not red"; after other words: "dress but not red";
    - a pattern: "in plain", unless the text names another pattern ("no stripes, with dots");
    - a part: "no hood"; sleeves: "without sleeves";
    - a value with a single opposite: "not sleeveless" becomes "with sleeves";
    - a color that replaces another one: "blue instead of red" and "from red to blue" become "in
      blue", since a model confuses which of two colors is wanted; "red dress to blue" and "red
      dress but in blue" become "dress in blue";
    - a pattern that replaces another one: "stripes to dots" becomes "with dots";
    - what does not change: "keep the stripes" is removed, if the text also asks for something;
    - words of a request: "do you have this in white" becomes "in white";
    - a complaint about a color or a pattern: "red clashes with my hair" becomes "not red";
    - a cut or a shade: "not long", "less long" and "too long" become "shorter", "no short sleeves"
      becomes "longer sleeves".

    Phrases that a model misunderstands because of a single word are rephrased as well: "nothing but
    red" becomes "only red", "dress shoes" becomes "shoes", "jeans jacket" becomes "denim jacket".

    Before that, the color of a name is left out ("Black Friday" becomes "Friday"), phrases with a
    negation that ask for something become a wish ("no t-shirt that is not black" becomes "black
    t-shirt"), and a correction replaces the value that it corrects: "red t-shirt. No, green" and
    "red t-shirt, make that green" become "green t-shirt". "No, green" alone becomes "green".

    Then refusals become exclusions: "a different color from white", "spare me white" and "cut the
    white" become "not white", "leave the white t-shirts out" becomes "t-shirt, not white", "high
    heels are out" becomes "without high heels", "no blue jeans" becomes "jeans, not blue", "less
    striped" becomes "not striped". After that, plurals of garments become singulars: "tops" becomes
    "top".

    The setting `rephrase_exclusions` of a checkpoint's processor enables this function. A message
    tells the user which phrases were replaced (`TypedText.respelled`).

    Some phrases stay as they are: exclusions of other things, such as a kind of garment; and
    exclusions after a negation, such as "not without a belt".

    Args:
        text: A text in which `dwc.negation.spell_out_negations` was applied.
    """
    if _UNCHANGED_WORDS.issuperset(text.lower().replace(", ", " ").split(" ")):
        return Rephrased(text)
    return _apply_rules(text)


def _apply_rules(text: str) -> Rephrased:
    """Return the text after all rules, as described at `rephrase_exclusions`."""
    text, names = leave_out_colors_of_names(text)
    changes = dict(names)
    text = _rephrase_all(text, WISHES_WITH_NEGATIONS, changes)
    text = _rephrase_all(text, ((_LEADING_NO, lambda match: match["wish"].lower()),), changes)
    text = _apply_corrections(text, changes)
    corrections = frozenset(changes)
    text = _rephrase_all(text, ((_ANY_DIFFERENT, _rephrase_any_different),), changes)
    text = _ANY_COLOR_BUT_NOT.sub(r"\1, ", _ANY_COLOR_BAR.sub(r"\1 but", text))
    text = _AS_LONG_AS.sub(", ", text)
    text = _rephrase_all(text, _TO_EXCLUSIONS, changes)
    details = [item.name for item in find_exclusions(text)[0] if item.type == "detail"]
    changes |= {match[0].strip(): _rephrase_only(match) for match in _ONLY_VALUE.finditer(text)}
    text = _ONLY_VALUE.sub(_rephrase_only, text)
    text = _rephrase_all(text, _REPHRASED, changes)
    excluded = [
        name.lower()
        for typed, read in changes.items()
        if _IS_EXCLUDED.search(read)
        and typed not in corrections
        and not _PATTERN_SWAP.fullmatch(typed)
        for name in _EXCLUDED_PATTERN.findall(typed)
    ]
    text = _make_singular(_REPEATED_PLAIN.sub("in plain", text))
    if "" in changes.values():
        text = _JOINTS_AT_ENDS.sub("", _REPEATED_JOINTS.sub(r"\1 ", text))
    text = _drop_request(text)
    # "The same except the collar: green" excludes nothing; it became "with green collar".
    lower = text.lower()
    excluded += [name for name in details if not re.search(rf"\b{re.escape(name)}\b", lower)]
    return Rephrased(text, _join_changes(changes), tuple(dict.fromkeys(excluded)))


def _join_changes(changes: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return a pair for each replaced phrase: the typed phrase and the phrase that it became.

    A phrase may have been replaced twice: "short sleeves are out" by "without short sleeves", and
    this phrase by "longer sleeves". The result has one pair for both changes: ("short sleeves are
    out", "longer sleeves").

    Args:
        changes: The replacement of each phrase, in the order in which they were replaced.
    """
    joined: dict[str, str] = {}
    for replaced, read in changes.items():
        former = next((typed for typed, last in joined.items() if replaced in last), None)
        if former is None:
            joined[replaced] = read
        else:
            joined[former] = joined[former].replace(replaced, read).replace(", but not", " but not")
    return tuple((typed, _make_singular(read)) for typed, read in joined.items())


def _is_same_kind(name: str, other: str) -> bool:
    """Return whether two names, in lower case, differ at most in the number: "dress", "dresses"."""
    name, other = (_make_singular(kind).replace("scarves", "scarf") for kind in (name, other))
    return name == other or f"{name}s" == other or name == f"{other}s"  # "shoe", "shoes"


def _make_singular(text: str) -> str:
    """Return a text with the names of garments in the singular: "tops" becomes "top".

    Models know the singular of such names better than the plural.
    """
    return _PLURAL.sub(r"\1", text)


_Rephrase = Callable[[re.Match[str]], str | None]


def _rephrase_all(
    text: str, rules: Iterable[tuple[re.Pattern[str], _Rephrase]], changes: dict[str, str]
) -> str:
    """Apply rules to a text, one after the other; return the text, and record the changes.

    Args:
        text: The text.
        rules: Pairs of a pattern and a function. The function takes a match of the pattern, and
            returns the phrase that replaces the match, or None to keep the match.
        changes: A dict to which this function adds the replacement of each replaced phrase.
    """
    for pattern, rephrase in rules:
        done, end = "", 0
        only: list[tuple[int, int]] | None = None
        for match in pattern.finditer(text):
            if only is None:
                only = [part.span() for part in ONLY.finditer(text)]
            start, stop = match.span()
            read = rephrase(match)
            if read is None or any(first < stop and start < last for first, last in only):
                continue
            before, typed = done + text[end:start], match[0].strip()
            if read.startswith("not ") and not _NO_BUT.search(before):
                before, read = (
                    before.rstrip(" ,;") + " ",
                    f"but {read.replace(', not', ' and not')}",
                )
            elif read == " ".join(typed.lower().split()):
                continue
            if read.startswith("in plain") and (verb := _BEFORE_PLAIN.search(before)):
                read = read.removeprefix("in ") if verb[1] else f"is {read.removeprefix('in ')}"
            done, end = before + read, stop
            changes[typed] = read
        text = done + text[end:]
    return text


def _unless_negated(rephrase: _Rephrase) -> _Rephrase:
    """Decorate a function that rephrases a match, so that phrases after a negation stay unchanged.

    The decorated function returns None if a negation such as "not" stands directly before the
    match, as in "not without a belt".
    """

    @wraps(rephrase)
    def rephrase_unless_negated(match: re.Match[str]) -> str | None:
        return None if _NEGATED.search(match.string[: match.start()]) else rephrase(match)

    return rephrase_unless_negated


def _apply_corrections(text: str, changes: dict[str, str]) -> str:
    """Replace values that a text corrects: "red t-shirt, make that green" becomes "green t-shirt".

    The replaced value is the last one before the correction that has the same type (color, pattern,
    sleeve length or kind of garment) and is not excluded. The text stays as typed if there is no
    such value, or if the correction names a kind and the text before it names several kinds.

    Args:
        text: The text.
        changes: A dict to which this function adds the replacement of each corrected phrase.
    """
    start = 0
    former: tuple[int, int, str] | None = None  # span of the last replacement, and what was typed
    while match := _CORRECTION.search(text, start):
        values = {name: value for name in _CORRECTED if (value := match[name])}
        targets = {name: _find_corrected(name, text[: match.start()]) for name in values}
        spans = {name: span for name, span in targets.items() if span is not None}
        if not spans or ("kind" in values and len(ANY_KIND.findall(text[: match.start()])) > 1):
            # A value that is followed by "sorry" may be the one that the next value corrects.
            only_marked = match["marked"] and not match["chain"]
            start = match.end() if only_marked else match.start() + 1
            continue
        replaced: dict[str, str] = {}
        before = ""  # values without an earlier one come before the next value, or after the last
        for name, value in values.items():
            before = f"{before} {value}".strip()
            if name in spans:
                replaced[name], before = before, ""
        last = list(replaced)[-1]
        replaced[last] = f"{replaced[last]} {before}".strip()
        first = start = min(begin for begin, _ in spans.values())
        read = text[: match.start()]
        for name, (begin, stop) in sorted(spans.items(), key=lambda item: -item[1][0]):
            new = _in_form_of(read[begin:stop].lower(), replaced[name].lower())
            read = read[:begin] + new + read[stop:]
        stop, typed = match.end(), text[first : match.end()]
        if former is not None and first < former[1]:  # it corrects a correction: one change
            changes.pop(former[2].strip(), None)
            first, stop = min(first, former[0]), max(stop, former[1])
            typed = text[first : former[0]] + former[2] + text[former[1] : stop]
        read += text[match.end() : stop]
        changes[typed.strip()] = read[first:]
        former, text = (first, len(read), typed), read + text[stop:]
    return text


def _find_corrected(name: str, before: str) -> tuple[int, int] | None:
    """Return the span of the value that a correction replaces; None if there is no such value.

    This is the last value of the given type before the correction. Values that the text excludes do
    not count, nor do colors of a part, such as "red sleeves".

    Args:
        name: The type, such as "color", a key of `_CORRECTED`.
        before: The text before the correction.
    """
    spans = [
        match.span()
        for match in _CORRECTED[name].finditer(before)
        if not _AFTER_NEGATION.search(before[: match.start()])
        and not (name == "color" and _OF_A_PART.match(before, match.end()))
    ]
    return spans[-1] if spans else None


def _in_form_of(old: str, new: str) -> str:
    """Return a new pattern as a noun or as an adjective, whichever the old pattern is.

    For example, "dots" in place of "striped" becomes "dotted". Values of other types, such as
    colors, stay as they are.

    Args:
        old: The replaced value, in lower case.
        new: The value that replaces it, in lower case.
    """
    if old in _ADJECTIVE_OF.values():
        return _ADJECTIVE_OF.get(new, new)
    if old in _ADJECTIVE_OF:
        return next((noun for noun, adjective in _ADJECTIVE_OF.items() if adjective == new), new)
    return new


def _rephrase_any_different(match: re.Match[str]) -> str:
    """Rephrase a wish for any other color, pattern or design.

    For example, "any color that is different" becomes "in another color".
    """
    attribute = match["attribute"].lower()
    is_color = attribute.startswith(("col", "shade"))
    return "in another color" if is_color else f"with another {attribute}"


def _rephrase_swap(match: re.Match[str]) -> str | None:
    """Return "in blue" for a phrase such as "blue instead of red"; None to keep it as typed.

    A phrase stays in three cases: if a negation such as "not" stands directly before it; if it is
    part of a list; and if the two colors are similar, since "blue instead of navy" tells which blue
    is wanted.
    """
    before = match.string[: match.start()]
    if _NEGATED.search(before) or _IN_LIST.search(before):
        return None
    wanted = next(color for color in match.groups() if color).lower()
    names = [name.lower() for name in ANY_COLOR.findall(match[0])]
    [new] = ANY_COLOR.findall(wanted)
    names.remove(new)
    if new in names or any(new in alike and alike.intersection(names) for alike in ALIKE_COLORS):
        return None
    return f"in {wanted}"


def _rephrase_but_color(match: re.Match[str]) -> str | None:
    """Rephrase a change of the color: "blue jeans but in gray" becomes "jeans in gray".

    The result is None, and the phrase stays, if the text before it has a negation, or ends with a
    word such as "any": "anything blue but navy" excludes navy. So does "red - anything but navy".
    """
    before = match.string[: match.start()]
    is_of_any = _OF_ANY.search(before) or _OF_ANY.search(f"{match['thing'] or ''} ")
    if is_of_any or negations_in(before):
        return None
    thing, joint, addition = (match["thing"] or match["this"] or "").partition(" with ")
    return f"{thing.strip()} in {match['new']}{joint}{addition}".strip().lower()


def _rephrase_exclusion(match: re.Match[str]) -> str | None:
    """Rephrase an exclusion: "avoid red" becomes "not red".

    The result is None, and the phrase stays, in these cases:

    - a negation such as "not" stands directly before it;
    - it excludes nothing, as in "it doesn't have to be red";
    - the words before it name the replacement, as in "a hood instead of stripes";
    - models follow it well as typed, such as "without a belt".
    """
    before = match.string[: match.start()]
    if _NEGATED.search(before) or _NOT_REQUIRED.search(before + match[0]):
        return None
    if (
        match["negation"].lower() in _REPLACING
        and before.strip()
        and not before.rstrip().endswith(",")
    ):
        return None
    read = _exclude(match["values"], match.string)
    return None if "in plain" not in read and _FOLLOWED.fullmatch(match[0]) else read


@_unless_negated
def _rephrase_rejected(match: re.Match[str]) -> str | None:
    """Rephrase a rejected color or pattern: "red is not ok" becomes "not red".

    The result is None, and the phrase stays, if a negation such as "not" stands directly before it.
    """
    return _exclude(next(values for values in match.groups() if values), match.string)


def _rephrase_only(match: re.Match[str]) -> str:
    """Return the phrase "only red" for a phrase such as "nothing but red"."""
    return f"only {match['value']}".lower()


def _rephrase_compound(match: re.Match[str]) -> str:
    """Remove a garment's name from the start of another one's: "dress pants" becomes "pants".

    But if the first word is "jeans", it becomes "denim": "jeans jacket" becomes "denim jacket".
    """
    return (match["formal"] or f"denim {match['denim']}").lower()


@_unless_negated
def _rephrase_all_but(match: re.Match[str]) -> str | None:
    """Rephrase an exception: "any dress but red" becomes "dress but not red".

    The result is None, and the phrase stays, if a negation such as "not" stands directly before it.
    """
    read = [_exclude_thing(thing[0]) for thing in _EACH_THING.finditer(match["things"])]
    if match["kind"] is None:
        return ", ".join(read)
    joint = " but " if read[0].startswith("not ") else ", "
    return f"{match['kind'].lower()}{joint}{' and '.join(read)}"


@_unless_negated
def _rephrase_put_out(match: re.Match[str]) -> str | None:
    """Rephrase an exclusion by "out" or "less": "red out", "less of the red" become "not red".

    The result is None, and the phrase stays, if a negation such as "not" stands directly before it,
    or if "out" belongs to a verb, as in "leave the white t-shirts and shirts out".
    """
    if match["out"] and _PUT_ELSEWHERE.search(match.string[: match.start()]):
        return None
    return _exclude_thing(match["less"] or match["out"] or match["lacking"])


@_unless_negated
def _rephrase_unwanted(match: re.Match[str]) -> str | None:
    """Rephrase an exclusion by a verb: "spare me white" becomes "not white".

    If the phrase names a kind of garment, as in "leave the white t-shirts out", the result depends
    on the rest of the text: "not white" if the rest names the same kind, "no white t-shirts" if it
    names another kind, and "t-shirts, not white" if it names none. The result is None, and the
    phrase stays, if a negation such as "not" stands directly before it.
    """
    if not match["kind"]:
        things = [_exclude_thing(thing[0]) for thing in _EACH_THING.finditer(match["things"])]
        return ", ".join(things)
    names = f"{match['values']} {match.groupdict().get('others') or ''}".lower()
    values = _EACH_VALUE_OF_KIND.findall(names)
    kind = match["kind"].lower()
    others = match.string[: match.start()] + match.string[match.end() :]
    if (named := find_kind(others)) and not _is_same_kind(named, kind):
        return f"no {' or '.join(values)} {kind}"
    return ", ".join((*([] if named else [kind]), *map(_exclude_thing, values)))


def _rephrase_refused_kind(match: re.Match[str]) -> str | None:
    """Rephrase a refusal: "I'm done with black trousers" becomes "trousers, not black".

    The result is None, and the phrase stays, in these cases: "not dark enough blue jeans"; if "but"
    and another wish follow; and if a negation such as "not" stands directly before the phrase.
    """
    is_amount = match["verb"].lower() == "enough" and not match["of"]
    if is_amount or _BUT_ANOTHER.match(match.string, match.end()):
        return None
    return _rephrase_unwanted(match)


@_unless_negated
def _rephrase_different(match: re.Match[str]) -> str | None:
    """Rephrase "different from": "in a different color from white" becomes "not white".

    The result is None, and the phrase stays, if a negation such as "not" stands directly before it.
    """
    return ", ".join(_exclude_thing(thing[0]) for thing in _EACH_THING.finditer(match["things"]))


@_unless_negated
def _rephrase_less_like(match: re.Match[str]) -> str | None:
    """Rephrase a preference: "rather a skirt than a dress" becomes "skirt, not a dress".

    The result is None, and the phrase stays, if a negation such as "not" stands directly before it.
    """
    if match["old"]:
        return _exclude_thing(match["old"])
    return f"{match['new']}, {_exclude_thing(match['former'])}".lower()


def _correct_slip(match: re.Match[str]) -> str:
    """Return the right word for a mistyped one that is a word too: "striped" for "stripped"."""
    return _SLIPS[match[0].lower()]


def _rephrase_put_in(match: re.Match[str]) -> str | None:
    """Rephrase "red in" as "in red", if another part of the text excludes something.

    For example, the text "blue out, red in" excludes blue. If nothing else is excluded, the result
    is None, and the phrase stays.
    """
    others = match.string[: match.start()] + match.string[match.end() :]
    if not _PUT_ASIDE.search(others):
        return None
    wanted = match["wanted"].lower()
    return f"in {wanted}" if ANY_COLOR.search(wanted) else f"with {wanted}"


def _is_plural(name: str) -> bool:
    return name.endswith("s") and not name.endswith("ss")


def _exclude_thing(name: str) -> str:
    """Return the phrase that excludes a thing: "not red", "not a dress", "without long sleeves".

    Args:
        name: The name of a color, a pattern, a kind of garment or a detail.
    """
    name = name.lower()
    if re.fullmatch(KINDS, name):
        return f"no {name}" if _is_plural(name) else f"not a {name}"
    if re.fullmatch(rf"{SHADED_COLOR}(?:s|es)?", name):
        return f"not {name}"
    return f"{'not' if name.endswith(_ADJECTIVE_ENDINGS) else 'without'} {name}"


@_unless_negated
def _rephrase_unwanted_detail(match: re.Match[str]) -> str | None:
    """Return "without high heels" for "high heels are out" or "lose the high heels".

    The result is None, and the phrase stays, if a negation such as "not" stands directly before the
    phrase. It is also None for a color or a pattern, since a later rule replaces these phrases.
    """
    thing = match["thing"].lower()
    if re.fullmatch(_BARE_VALUE, thing) and not re.fullmatch(_OPPOSITE, thing):
        return None  # a rule for values follows
    return f"{'not' if thing.endswith(_ADJECTIVE_ENDINGS) else 'without'} {thing}"


def _rephrase_like_thing(match: re.Match[str]) -> str:
    """Rephrase a color that is described by a thing: "the color of grass" becomes "in green"."""
    thing = match["thing"] or match["before"] or match["like"]
    [color] = [name for name, things in _NAMESAKES.items() if re.fullmatch(things, thing, re.I)]
    return f"in {color}"


def _drop_unchanged(match: re.Match[str]) -> str | None:
    """Remove a request to leave something unchanged, such as "keep the stripes".

    The result is an empty text. But if the rest of the text asks for nothing, the result is None,
    and the phrase stays.
    """
    others = match.string[: match.start()] + match.string[match.end() :]
    return "" if wanted_words(others) else None


def _rephrase_owned(match: re.Match[str]) -> str | None:
    """Rephrase a mention of what the user owns: "I already have it in red" becomes "not red".

    The result is None, and the phrase stays, if it is a wish, as in "can I have it in red".
    """
    if _ASKING.search(match.string[: match.start()]):
        return None
    return f"not {match['color'] or match['one']}".lower()


@_unless_negated
def _rephrase_less_pattern(match: re.Match[str]) -> str | None:
    """Rephrase "less" or "too" with a color or pattern: "too striped" becomes "not striped".

    The result is None, and the phrase stays, if a negation such as "not" stands directly before it.
    """
    return f"not {next(value for value in match.groups() if value)}".lower()


def _rephrase_value_of_kind(match: re.Match[str]) -> str | None:
    """Rephrase an excluded value of a garment: "no blue jeans" becomes "jeans, not blue".

    The result is None, and the phrase stays, if the text names another garment, too, or if a
    negation such as "not" stands directly before the phrase.
    """
    before, after = match.string[: match.start()], match.string[match.end() :]
    if _NEGATED.search(before) or find_kind(before) or find_kind(after):
        return None
    values = _EACH_VALUE_OF_KIND.findall(match["values"])
    return ", not ".join((match["kind"], *values)).lower()


@_unless_negated
def _rephrase_less(match: re.Match[str]) -> str | None:
    """Rephrase a rejected cut or shade as a comparative: "too long" becomes "shorter".

    The result is None, and the phrase stays, if a negation such as "not" stands directly before it.
    """
    if match["scarce"]:
        comparative = _COMPARATIVES[match["scarce"].lower()][0]
    else:
        comparative = _COMPARATIVES[match["shape"].lower()][1]
    if (match["sleeves"] or "").lower().endswith("d"):
        return f"with {comparative} sleeves"
    return f"{comparative} sleeves" if match["subject"] or match["sleeves"] else comparative


@_unless_negated
def _rephrase_recolored(match: re.Match[str]) -> str | None:
    """Rephrase a change of a garment's color: "red dress to blue" becomes "dress in blue".

    The result is None, and the phrase stays, if a negation such as "not" stands directly before it.
    """
    return f"{match['kind']} in {match['new']}".lower()


def _rephrase_pattern_swap(match: re.Match[str]) -> str | None:
    """Rephrase a change of the pattern: "stripes to dots" becomes "with dots".

    The result is None, and the phrase stays, if a negation such as "not" stands directly before the
    phrase, or if the phrase is part of a list.
    """
    before = match.string[: match.start()]
    if _NEGATED.search(before) or _IN_LIST.search(before):
        return None
    wanted = _pattern_phrase((match["new"] or match["other"] or match["instead"]).lower())
    return wanted if match["kind"] is None else f"{match['kind'].lower()} {wanted}"


def _rephrase_sleeves_in_short(match: re.Match[str]) -> str:
    """Return "short sleeve" for "s/s", and "long sleeve" for "l/s"."""
    return f"{'short' if match['length'] in 'sS' else 'long'} sleeve"


@_unless_negated
def _rephrase_thing_swap(match: re.Match[str]) -> str | None:
    """Rephrase a swap: "swap the jeans for a skirt" becomes "as a skirt".

    With a part instead of a garment, "swap the collar for a hood" becomes "with a hood". The result
    is None, and the phrase stays, if a negation such as "not" stands directly before it.
    """
    kind, detail = match["kind"] or match["into"], match["detail"] or match["part"]
    name = (kind or detail or match["instead"]).lower()
    if name.endswith(_ADJECTIVE_ENDINGS):
        return name
    return f"{'as' if kind else 'with'} {name if _is_plural(name) else f'a {name}'}"


@_unless_negated
def _rephrase_sleeve_swap(match: re.Match[str]) -> str | None:
    """Rephrase a swap of sleeves: "swap long sleeves for short" becomes "with short sleeves".

    The result is None, and the phrase stays, if a negation such as "not" stands directly before it.
    """
    return "without sleeves" if match["none"] else f"with {match['new']} sleeves".lower()


@_unless_negated
def _rephrase_same_except(match: re.Match[str]) -> str | None:
    """Rephrase a single change: "the same except the color: green" becomes "in green".

    If a part changes, the part is named: "the same except the collar: green" becomes "with green
    collar". Without a new value, "the same except the color" becomes "in another color". The result
    is None, and the phrase stays, if a negation such as "not" stands directly before it.
    """
    attribute, value = match["attribute"].lower(), (match["value"] or "").lower()
    if not value:
        return f"{'in' if attribute.startswith('col') else 'with'} another {attribute.rstrip('s')}"
    is_sleeve = not ANY_COLOR.search(value) and not _PATTERN_OR_PLAIN.fullmatch(value)
    if is_sleeve:
        return f"with {value} sleeves"
    is_part = attribute.startswith(("sleeve", "neck", "collar"))
    return f"with {value} {attribute}" if is_part else _wish_for(value)


@_unless_negated
def _rephrase_all_but_attribute(match: re.Match[str]) -> str | None:
    """Return "in another color" for "everything but the color".

    The result is None, and the phrase stays, if a negation such as "not" stands directly before it.
    """
    attribute = match["attribute"].lower()
    return f"{'in' if attribute.startswith('col') else 'with'} another {attribute}"


def _wish_for(value: str) -> str:
    """Return the phrase that asks for a color or a pattern, such as "in red" for "red"."""
    return f"in {value}" if ANY_COLOR.search(value) else _pattern_phrase(value)


def _pattern_phrase(pattern: str) -> str:
    """Return the phrase that asks for a pattern, such as "with stripes" for "stripes".

    An adjective such as "striped" stays as it is, and "plain" gives "in plain".
    """
    if pattern == "plain":
        return "in plain"
    return pattern if pattern in _PATTERN_ADJECTIVES else f"with {pattern}"


def _exclude(values: str, text: str) -> str:
    """Return phrases that exclude each value of a list: "not red, in plain" for "red or striped".

    A pattern is excluded by "in plain". If the text asks for another pattern, such as "with dots",
    the phrase names the pattern instead: "no stripes".

    Args:
        values: The list as typed, such as "red or striped".
        text: The whole text that contains the list.
    """
    is_plain = not _asks_for_pattern(text)
    read = [_rephrase_value(value[0].lower(), is_plain) for value in _ANY_VALUE.finditer(values)]
    return ", ".join(dict.fromkeys(read))


@lru_cache(maxsize=16)  # a text may have many exclusions
def _asks_for_pattern(text: str) -> bool:
    """Return whether a text names a pattern that it does not exclude."""
    for exclusions in (*_EXCLUSIONS, _REJECTED):
        text = exclusions.sub(" ", text)
    return ANY_PATTERN.search(text) is not None


def _rephrase_value(value: str, is_plain: bool) -> str:
    """Return the phrase that excludes a value, such as "not red" for "red".

    Args:
        value: The value, in lower case.
        is_plain: If True, a pattern such as "striped" is excluded by "in plain"; if False, by "no
            stripes".
    """
    if is_plain and ANY_PATTERN.fullmatch(value):
        return "in plain"
    for names, read in (_OPPOSITES | _THINGS).items():
        if re.fullmatch(names, value):
            return read
    color = re.match(SHADED_COLOR, value)  # without the ending of "reds"
    return f"not {color[0] if color else value}"


# Phrases that are read as other exclusions, to which `_REPHRASED` is applied then.
_TO_EXCLUSIONS: tuple[tuple[re.Pattern[str], _Rephrase], ...] = (
    (_SLIP, _correct_slip),
    (_LINES, lambda match: f"{match[1]}stripes"),
    (_NO_CHECK, lambda match: f"{match[0]}s"),
    (_LESS_LIKE, _rephrase_less_like),
    (_ALL_BUT, _rephrase_all_but),
    (_TAKEN_OUT, _rephrase_unwanted),
    (_LEFT_OUT, _rephrase_unwanted),
    (_SPARED, _rephrase_unwanted),
    (_MISSED, _rephrase_unwanted),
    (_REFUSED_KIND, _rephrase_refused_kind),
    (_DIFFERENT, _rephrase_different),
    (_PUT_OUT, _rephrase_put_out),
    (_PUT_IN, _rephrase_put_in),
    (_OWNED, _rephrase_owned),
    (_REJECTED_DETAIL, _rephrase_unwanted_detail),
    (_REMOVED_MOTIF, lambda match: "without the print"),
    (_REMOVED_DETAIL, _rephrase_unwanted_detail),
    (_NO_VALUE_KIND, _rephrase_value_of_kind),
    (_LESS_PATTERN, _rephrase_less_pattern),
    (_ABSENT_PART, lambda match: f"no {match['part']}".lower()),
)
_REPHRASED: tuple[tuple[re.Pattern[str], _Rephrase], ...] = (
    (_UNCHANGED, _drop_unchanged),
    (_COMPOUND, _rephrase_compound),
    (_SAME_EXCEPT, _rephrase_same_except),
    (_ALL_BUT_ATTRIBUTE, _rephrase_all_but_attribute),
    (_NOT_ENOUGH, lambda match: _wish_for(match["value"].lower())),
    (_SWAP, _rephrase_swap),
    (_LESS, _rephrase_less),
    (_BUT_COLOR, _rephrase_but_color),
    (_TO_COLOR, lambda match: f"in {match['to'] or match['version'] or match['one']}".lower()),
    (_MADE, _rephrase_recolored),
    (_RECOLORED, _rephrase_recolored),
    (_PATTERN_SWAP, _rephrase_pattern_swap),
    (_SLEEVE_SWAP, _rephrase_sleeve_swap),
    (_THING_SWAP, _rephrase_thing_swap),
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
    (_OTHER_COLOR, lambda match: "in another color"),
    (_REJECTED, _rephrase_rejected),
    *((item, _rephrase_exclusion) for item in _EXCLUSIONS),
)


# Phrases that ask for something without saying what: "do you have this in white?", "how about
# white". Models take their words for wishes.
_GREETING = r"(?:hi|hello|hey|ok|okay|well|yes|so|please|pls|plz)\b[\s,!.]*"
_REQUESTING = (
    r"(?:(?:do|would)\s+you\s+(?:guys\s+|also\s+)*(?:have|got|sell|stock|carry)|have\s+you\s+got|got"
    r"|(?:can|could|may|might)\s+(?:i|we|you)(?:\s+please)?\s+(?:also\s+)?"
    r"(?:get|have|see|find|order|buy|(?:show|give|find|get)\s+me)"
    r"|(?:is|are)\s+there|(?:how|what)\s+about|(?:show|find|give|get|send)\s+me"
    r"|(?:(?:i|we)(?:'m|\s+am|'re|\s+are)?\s+(?:(?:just|really|now)\s+)*)?(?:looking|searching)\s+for"
    r"|(?:i|we)(?:'d|\s+would)?\s+(?:(?:really|much)\s+)*(?:like|prefer|love|want|need)"
    r"(?:\s+to\s+(?:have|see|get|buy|find|order))?)(?!\s+(?:to|that|when|how|if|your|my|the\s+way)\b)"
)
_REQUESTED_THING = (
    r"(?:\s+(?:an?|the|any|some)?\s*(?:this|it|that|these|those|them|something|anything|one|ones"
    r"|(?:(?:same|similar)\s+)?(?:version|thing|item|one|model)s?|the\s+same)\b(?:\s+of\s+(?:this|it|that))?)?"
    r"(?:\s+(?:similar|like\s+(?:this|it|that)(?:\s+one)?)\b)?(?:\s+(?:but|only|that\s+is|which\s+is)\b)?"
)
_REQUEST = compile_lazily(
    rf"^(?:{_GREETING})*(?:{_REQUESTING}{_REQUESTED_THING}|(?<=\s))[\s,:]+(?=[^\W\d_])",
    re.IGNORECASE,
)
_REQUEST_END = compile_lazily(
    r"[\s,]*(?:(?<=[\s,])(?:please|pls|plz|thanks|thank\s+you|thx|if\s+possible|for\s+me|in\s+my\s+size"
    r"|would\s+be\s+(?:nicer?|better|great|good|lovely|perfect|ideal|best)"
    r"|if\s+you\s+have\s+(?:it|one|any|some)))?[\s?!.]*$",
    re.IGNORECASE,
)


def _drop_request(text: str) -> str:
    """Remove the words of a request: "do you have this in white?" becomes "in white".

    The text stays as it is if nothing about clothes would remain.
    """
    rest = _REQUEST.sub("", text)
    while (shorter := _REQUEST_END.sub("", rest)) != rest:
        rest = shorter
    return rest if rest and (wanted_words(rest) or find_exclusions(rest)[0]) else text


def wanted_words(rest: str) -> str:
    """Return what a text asks for, such as "striped dress"; empty if it says nothing about clothes.

    Words such as "and" and punctuation are removed at both ends of the text.

    Args:
        rest: The text without what it excludes; see `dwc.negation.find_exclusions`.
    """
    words = re.findall(r"[^\W\d_]+", rest.lower())
    if _VAGUE.issuperset(words):
        return ""
    return _JOINTS_AT_ENDS.sub("", rest)


_REPEATED_JOINTS = compile_lazily(r"\s*([,;.])\s*(?:[,;.]\s*|(?:and|but)\b\s*)*", re.IGNORECASE)
_JOINTS_AT_ENDS = compile_lazily(
    r"^(?:\W|(?:and|or|but)\b)+|(?:\W|\b(?:and|or|but|in|with))+$", re.IGNORECASE
)
