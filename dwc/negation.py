"""Negations: phrases that exclude something, such as "without" or "anything but".

`NEGATIONS` contains the negations that occur in the generated texts of the catalogue (a data set of
drawn garments) and that the parser of these texts understands. A model understands only negations
that it was trained on, and overlooks even some of these. `unknown_function_words` lists the
negations in a text that a model has not learned. `overlooked_negations` lists the negations that
the bundled checkpoint often overlooks, although it was trained on them. `unmeasured_negations`
lists the negations for which no measurement shows whether the checkpoint follows them.
`negation_note` combines these lists into a message, which `Searcher` adds to the notes of a search
result.
"""

import operator
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Literal, NamedTuple

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

# The words of some negations also occur in other phrases ("as a skirt instead", "a pair of"). These
# negations are mapped to words that occur only in texts with negations. A model has learned such a
# negation only if its vocabulary has that word, too.
_LEARNED_WITH: dict[Tokens, str] = {("instead", "of"): "than"}

# Without a reference image, the bundled checkpoint was measured to overlook all negations but these
# on photographs; with one, it overlooks those of `_OVERLOOKED_WITH_IMAGE`.
_FOLLOWED: frozenset[Tokens] = frozenset({("not",), ("no",), ("without",)})
_OVERLOOKED_WITH_IMAGE = frozenset({"never"})  # first words of negations
# Regular expression of a pattern or part as people type it -> phrase that excludes it.
PATTERNS = {
    "stripes?|striped|stripy|stripey": "no stripes",
    "flowers?|floral|flowery": "with no flowers",
    "checks|checked|checkered|chequered": "no checks",
    "dots|dotted|spots|spotted|spotty|polka[ -]dots?": "with no dots",
    "prints?|printed": "no print",
    "graphics?": "no graphic",
    "logos?": "no logo",
    "texts?|writing|lettering|slogans?": "no text",
    "patterns?|patterned|designs?": "no pattern",
    "plaid": "no plaid",
}
PATTERN_NAMES = "|".join(names for names in PATTERNS if not names.startswith("patterns"))
"""Regular expression of the names in `PATTERNS`, except "pattern" itself."""
PARTS = {
    "hoods?|hooded": "no hood",
    "collars?|collared": "no collar",
    "buttons?|buttoned": "no buttons",
    "zips?|zippers?|zipped": "no zip",
    "belts?|belted": "no belt",
    "pockets?": "no pockets",
    "laces": "no laces",
    "straps?": "no straps",
    "buckles?": "no buckle",
    "drawstrings?": "no drawstring",
    "ribbons?": "no ribbon",
}
COLORS = (
    "black|white|gr[ea]y|red|pink|orange|yellow|green|teal|blue|navy|purple|brown|beige|cream|burgundy|"
    "maroon|turquoise"
)
# Kinds of garments that have a singular and a plural; models have seen the singular more often.
# Hoodies and pairs such as shoes are not among them. All but the dress have a plural in "s".
_COUNTED = (
    "skirt|shirt|top|t-?shirt|tee|blouse|tunic|jacket|coat|blazer|cardigan|sweater|jumper|pullover"
    "|sweatshirt|waistcoat|vest|polo|hat|handbag|bag|backpack|cap|suit|gown|frock"
)
COUNTED_KINDS = f"dress|{_COUNTED}"
KINDS = (
    r"polo\s+shirts?"  # before "polo"
    rf"|dress(?:es)?|(?:{_COUNTED})s?|hoodies?|beanies?|scarf|scarves|trousers|pants|jeans|leggings"
    r"|shorts|pyjamas|pajamas|shoes?|boots?|sandals?|sneakers?|trainers?|heels|pumps|flats|loafers?"
    r"|slippers?"
)
# Names of groups of kinds. A text may exclude some kinds of a group: "footwear, but no boots".
_GROUPS = (
    "footwear|headwear|headgear|knitwear|outerwear|bottoms|swimwear|underwear|sportswear|nightwear"
    "|sleepwear|leisurewear|menswear|womenswear|workwear|denim"
)
# Sets of similar colors. In "blue, not navy" the exclusion matters, so it is not dropped.
ALIKE_COLORS = [
    set(names.split())
    for names in (
        "blue navy teal turquoise",
        "green teal turquoise",
        "red burgundy maroon",
        "red pink",
        "purple burgundy",
        "white cream beige",
        "brown beige",
        "grey gray black",
        "orange yellow",
    )
]
# Exclusions of a kind of garment, which models overlook with and without a reference image.
_NO_KIND = re.compile(
    r"\b((?:no more|no|not|without|anything but|something other than|other than|except|instead of"
    r"|rather than)"
    rf"\s+(?:an?\s+|any\s+|the\s+)?(?:pairs?\s+of\s+)?(?:{KINDS}))\b",
    re.IGNORECASE,
)
# Exclusions of a cut or a shade, which models overlook with and without a reference image.
_NO_SHAPE = re.compile(
    r"\b((?:no|not|nothing|never|without|isn't|anything but|except)\s+(?:too\s+|very\s+|an?\s+)*"
    r"(?:(?:long|short)[\s-]sleeve[sd]?|long|short|cropped|dark|light|bright|loose|tight|wide"
    r"|narrow))(?![\w-])(?!\s+(?:sleeve|" + COLORS + "))",
    re.IGNORECASE,
)
_SMALL_PARTS = (
    "zips?|zippers?|zipped|buttons?|buttoned|collars?|collared|pockets?|laces|laced|straps?|lapels?"
)
# Exclusions of parts that photographs show too small: of the first 12, 3 to 6 had them.
_NO_SMALL_PART = re.compile(
    r"\b((?:no|not|without)\s+(?:any\s+|an?\s+)?"
    rf"(?:{_SMALL_PARTS}))\b",
    re.IGNORECASE,
)
_NO_HOOD = re.compile(r"\b((?:no|not|without)\s+(?:an?\s+|any\s+)?hood(?:s|ed)?)\b", re.IGNORECASE)
# Exclusions of a color in words on which models were not trained.
_ODD_NO_COLOR = re.compile(
    rf"\b((?:no|not|without)\s+(?:any\s+)?(?:{COLORS})(?:s|es)|(?<!more or )less\s+(?:{COLORS})"
    rf"|(?:{COLORS})\s+(?:is\s+out|no\s+more)|but\s+for\s+(?:{COLORS}))\b",
    re.IGNORECASE,
)
# Pairs of colors of which only the second is wanted; models confuse the two colors.
_SWAPPED = re.compile(
    rf"\b((?:not|no|instead\s+of)\s+(?:in\s+)?(?:{COLORS})\s*(?:[,;]\s*(?:but\s+)?|\s+but\s+)"
    rf"(?:in\s+)?(?:{COLORS})|(?:from\s+)?(?:{COLORS})(?:\s+to\s+|\s*>\s*)(?:{COLORS}))\b",
    re.IGNORECASE,
)
_NO_COLOR = re.compile(rf"\b(?:no|not|without)\s+(?:{COLORS})\b", re.IGNORECASE)
# The exclusion of a color alone, which the bundled checkpoint follows without a reference image,
# except that it finds gray clothes for "not gray".
_ONLY_NOT_COLOR = re.compile(rf"\W*not\s+(?!gr[ea]y)(?:{COLORS})\W*", re.IGNORECASE)

_VALUES = "|".join((COLORS, *PATTERNS, *PARTS, "plain", "sleeves?", "sleeveless"))
# The exclusions that the bundled checkpoint follows without a reference image: a color, a pattern
# or a part, if the text has nothing else. After a garment's name it overlooks them.
_FOLLOWED_ALONE = re.compile(
    rf"\W*(?:(?:not|(?:with\s+)?no|without)\s+(?:any\s+|an?\s+)?(?:{_VALUES})"
    rf"(?:\s*,?\s*\b(?:or|nor|and)\s+(?:an?\s+)?(?:{_VALUES}))*(?:\W+(?:and\s+|or\s+)?|$))+",
    re.IGNORECASE,
)
# A negation, with the two words after it, for messages.
_ANY_NEGATION = re.compile(
    r"(?<![\w'-])((?:no|not|never|without|neither|nor|none|nothing|nowhere|cannot|[^\W\d_]+n't"
    r"|(?:instead|other)\s+(?:of|than)|rather\s+than|far\s+from)\b"
    r"(?:\s+(?:any|an?)\b)?(?:\s+[\w'-]+){1,2})",
    re.IGNORECASE,
)
# What may come after a negation that the bundled checkpoint follows with a reference image.
_FOLLOWED_WITH_IMAGE = re.compile(
    r"(?:no|not|without|neither|nor|nothing|cannot|[^\W\d_]+n't|instead\s+of|(?:rather|other)\s+than)"
    r"\s+(?:(?:any|an?|the|in|with|be|have|want|as|so|too|very|dark|light|is|are|it|but)\s+)*"
    rf"(?:{_VALUES}|sleeve\w*)\b(?!\s+(?:{KINDS})\b)",
    re.IGNORECASE,
)
_LAST_WORD = re.compile(r"(?:\s+(?:and|or|but|in|with|on|at|for|to|is|are|that|which))+$")
_WITH_SLEEVES = re.compile(r"without\s+sleeves?\b", re.IGNORECASE)

SHADED_COLOR = rf"(?:(?:very\s+)?(?:dark|light|bright|pale|deep|medium)[\s-]+)?(?:{COLORS})"
ANY_COLOR = re.compile(COLORS, re.IGNORECASE)
# Regular expression of the verbs that exclude a part or a cut: "lose the belt".
REMOVING = (
    r"remove|lose|drop|minus|get\s+rid\s+of|leave\s+(?:out|off)|take\s+(?:off|away)|ditch|omit|sans"
)
_RARE_PATTERNS = (
    r"pinstripe[sd]?|zig-?zags?|chevrons?|colou?r\s+blocks?|leopard(?:\s+(?:print|spots))?"
    r"|animal\s+print"
)
# Regular expression of details of garments: parts and cuts, such as "narrow brim". "no high heels"
# excludes a detail, and "no heels" a kind of shoe.
DETAIL = (
    rf"(?:(?:{COLORS})\s+(?:in\s+the\s+pattern|as\s+the\s+second\s+colou?r)"
    rf"|{_RARE_PATTERNS}"
    r"|(?:(?:wide|narrow|broad|thin|thick|skinny|slim|straight|loose|tight|baggy|relaxed|long|short"
    r"|tall|high|low|small|large|big|full|normal|regular|maxi|midi|mini|cropped|flared|ruffled"
    r"|round(?:ed)?|pointed|pointy|open|square|flat|chunky|plain|elastic(?:ated)?|crossed|shoulder"
    r"|ankle|chest|breast|patch|pouch|kangaroo|cargo|front|side|hat|shirt|lapel|stand(?:ing|-up)?"
    r"|roll|polo|turtle|crew|v|boxy|tote|metal|elbow(?:[\s-]length)?|half|visible)[\s-]+){0,2}"
    r"(?:brims?|peaks?|visors?|buckles?|buttons?|flaps?|laces|shoelaces|straps?|zips?|zippers?"
    r"|legs|fit|soles?|heels?|toes?|hems?|shafts?|tops?|lengths?|cut|collars?|hoods?|lapels?"
    r"|necks?|necklines?|v-necks?|turtlenecks?|sleeves?|pockets?|handles|chains?|bands?|ribbons?"
    r"|belts?|drawstrings?|waists?|waistbands?|ruffles|frills|shapes?|corners)"
    r"|sleeveless|(?:long|short)[\s-]sleeved|hooded|collared|buttoned|zipped|laced|lace-up|belted|unbelted|strapless|flared"
    r"|ruffled|frilly|pointed|boxy|rounded|peaked|brimless|slip-on|pull-on)"
)
# Details that models often overlook, although a vector that points towards them is subtracted from
# the query.
_OVERLOOKED_DETAIL = re.compile(
    rf"\b(?:{_SMALL_PARTS}|lace-up|bands?|ribbons?|(?:straight|regular|normal)\s+(?:legs|fit|length)"
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
_PATTERN = re.compile(rf"(?:{'|'.join(PATTERNS)}|{_RARE_PATTERNS})", re.IGNORECASE)
ANY_PATTERN = re.compile(rf"\b(?:{PATTERN_NAMES})\b", re.IGNORECASE)
ANY_KIND = re.compile(rf"(?<![\w'-])(?:{KINDS})(?![\w'-])", re.IGNORECASE)
_KIND_OR_GROUP = re.compile(rf"(?<![\w'-])(?:{KINDS}|{_GROUPS})(?![\w'-])", re.IGNORECASE)
_NEGATED = re.compile(r"(?<![\w'-])(?:not|never|nothing|no|nor|without|\w+n't)\s+(?:be\s+)?$", re.I)

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_CONTRACTION = re.compile(
    r"(?<![\w'-])(is|are|was|were|do|does|did|ca|wo|has|have|had|should|would|could|must)(n)(t)"
    r"(?![\w'-])",
    re.IGNORECASE,
)
_WITH = re.compile(r"(?<![\w/-])w/(?=\s*[^\W\d_])(?!o(?:ut)?\b)", re.IGNORECASE)
_WITHOUT = re.compile(r"(?<![\w/-])(?:w/o(?:ut)?|with[\s-]out)(?![\w/-])", re.IGNORECASE)
# "Red. No: green" and "red, well no: green", corrections. In a list such as "Yes: red. No: green"
# it excludes.
_CORRECTING_NO = re.compile(
    rf"^(?P<before>[^:=]*\b(?:(?P<color>{COLORS})|(?P<pattern>{PATTERN_NAMES}|plain))\b[^:=]*"
    r"(?:[.!?]|[\s,;(-](?:well|h+m+|u+m+|er+m?|uh+m?|oh|ah|sorry|(?:wh)?oops|wait|actually)[\s,.!]*)"
    r"(?:(?<=\W)|\s)\s*no)"
    rf"\s*:(?=\s*(?:in\s+)?(?:(?:dark|light|bright|pale)\s+)?(?:(?(color)(?:{COLORS})|(?:{PATTERN_NAMES}|plain))\b))",
    re.IGNORECASE,
)
# "without: hood" and "not: red", but not "no: red" at the start, which answers a question.
_COLON_AFTER_NEGATION = re.compile(
    r"(?<![\w'-])(without|not|(?<=[\w,;.]\s)no)\s*:\s*[-\u2022*]*\s*(?=[^\W\d_])|"
    r"(?<![\w'-])(without),\s*(?=[^\W\d_])",
    re.IGNORECASE,
)
# "(no: black, white)", "; minus: black", "without: hood, belt" and, with the garment after it,
# "no: black; t-shirt". All things of such a list are excluded.
_LISTED_COLOR = rf"(?:in\s+)?{SHADED_COLOR}"
_LISTED_THING = rf"(?:an?\s+|any\s+|the\s+)?(?:{DETAIL}|{'|'.join((*PATTERNS, *PARTS))}|{KINDS})"
_LIST_JOINT = r"(?:\s*[,/&+]\s*(?:(?:and|or|nor)\s+)?|\s+(?:and|or|nor)\s+)"
_LIST_AFTER_NEGATION = re.compile(
    r"(?P<gap>(?:^|\s*[,;.\n|/\u2010-\u2015-]?)\s*)(?P<open>[(\[{]\s*)?(?<![\w'-])"
    r"(?P<negation>no|not|never|without|sans|except(?:\s+for)?|minus|exclud(?:e|es|ed|ing)|avoid)\s*[:\uff1a]\s*"
    rf"(?P<things>{_LISTED_COLOR}(?:{_LIST_JOINT}{_LISTED_COLOR})*"
    rf"|{_LISTED_THING}(?:{_LIST_JOINT}{_LISTED_THING})*)(?![\w'-])"
    r"(?:\s*(?P<close>[)\]}])|(?=\s*(?:$|[.;!?|\n)\]}\u2010-\u2015/]|-\s|,)))",
    re.IGNORECASE,
)
_ARROW = re.compile(
    r"(?<=[^\W\d_])\s*(?:[-=~]+>+|[\u2192\u21d2\u2794\u279c\u27a1\u27f6])\ufe0f?\s*(?=[^\W\d_])"
)
_PROHIBITION = re.compile("([🚫⛔❌🛇✕✗✘✖👎🙅])")
# A gesture may have a color of the skin and a sign of the sex after it.
_PROHIBITED = re.compile(
    r"(?:^|(?<=[\s,;(]))[🚫⛔❌🛇✕✗✘✖👎🙅][\U0001f3fb-\U0001f3ff]?[♀♂]?\ufe0f?\s*(?=[^\W\d_])"
)
# Ways to exclude something that no model has learned: "!red", "~red", "color != red", "belt: no",
# "red? no" and "no longer red".
_NOT_SIGN = re.compile(r"(?:^|[\s,;(\[/|&+])[!\u00ac](?=[^\W\d_])")
_NOT_SIGN_AFTER_JOINT = re.compile(r"(?<=[,;(/|&+])(?=[!\u00ac][^\W\d_])")
_UNEQUAL = re.compile(r"\s*(?:!==?|<>|=/=|!~|\u2260|=\u0338|\u2209|\u2262)\s*")
# "~red", and the difference of two sets: "t-shirt \\ black". Beside an amount such as "~30 cm", the
# sign "~" means "about".
_COMPLEMENT = re.compile(r"(?:^|[\s,;(\[/|&+])(~{1,2}(?=[^\W\d_])|[\\\u2216](?=\s?[^\W\d_]))")
_ABOUT = re.compile(r"~\s?\d")
_ANSWERED_NO = re.compile(
    r"(?<=[^\W\d_])[^\S\n]*"
    r"(\?+|[:=]+|(?<=\s)[-\u2010-\u2015\u2212]|-(?=\s*no(?:ne)?\b))"
    r"[^\S\n]*(no|not|none|nope|never|off|false|0)\b"
    r"(?=\s*(?:[.,;!?|/)\]\n]|(?:and|but)\b|[^\W\d_]+\s*[:=]|$))",
    re.IGNORECASE,
)
# Answers after a word, in brackets or at the end: "stripes (no)", "stripes no".
_BRACKETED_NO = re.compile(
    r"(?<=[^\W\d_])\s*[(\[]\s*(no|not|none|nope|never|off|false)\s*[)\]]", re.IGNORECASE
)
_TRAILING_NO = re.compile(
    r"(?<=[^\W\d_])\s+(no|not|none|nope|off|false)\s*(?=[.,;!?\n]|$)", re.IGNORECASE
)
_STRUCK_OUT = re.compile(r"(?<!~)(~{1,2})(?=\S)[^~]+(?<=\S)\1(?!~)")
# Quotes and brackets around a word, which must be removed before the other patterns are applied.
_MARKS = re.compile(
    r"(?<![^\W\d_])['\"\u201c\u2018*(\[]+(?=\w)|(?<=\w)['\"\u201d\u2019*)\]]+(?!\w)"
)
_ANSWER_END = re.compile(r"[^\S\n]*(?:\n|\s(?!and\b|but\b)[^\W\d_]+\s*[:=])", re.IGNORECASE)
_NO_LONGER = re.compile(r"\bno longer\b", re.IGNORECASE)
# Verbs and interjections that exclude something: "avoid red", "red excluded", "I hate red".
_EXCLUSIONS = re.compile(
    r"(?<![\w-])(avoid(?:s|ed|ing)?|exclud(?:e|es|ed)|eliminat(?:e|es|ed|ing)|forbid(?:s|den)?"
    r"|ban(?:s|ned|ning)?|reject(?:s|ed|ing)?|hat(?:e|es|ed|ing)|dislik(?:e|es|ed|ing)|loathes?"
    r"|detests?|despises?|can['\u2019]?t stand|sick of|tired of|fed up with|nope|nah)(?![\w'])",
    re.IGNORECASE,
)
# Words that look like a negation but exclude nothing: "no, in red", "not only red", "no problem".
_LEADING_NO = re.compile(
    r"^\W*((?:oh\s+|well\s+)?no)\s*[,.;!:\u2013\u2014]\s*(?=\w)(?!(?:no|not|without|nothing)\b)",
    re.IGNORECASE,
)
_EXCLUDES_NOTHING = re.compile(
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
_DASHES = "-\u2010-\u2015\u2212"  # for a character class: hyphens, dashes and the minus sign
_MINUS = re.compile(
    r"(?:(?<=^)|(?<=[\s,;(\[{/|&+\"\u201c]))[-\u2212\uff0d\u2796]{1,2}"
    r"(?=[\"'\u201c\u2018(\[{]?[^\W\d_])(?!(?:no|not|without)\b|(?:any|every|all)(?:thing)?\s+(?:but|except)\b)"
)
_MINUS_AFTER_JOINT = re.compile(r"(?<=[/|&+])(?=[-\u2212\uff0d\u2796]{1,2}[\"'(\[]?[^\W\d_])")
_DASH_BEFORE_WORD = re.compile(r"(?:(?<=^)|(?<=\s))([\u2010-\u2015])(?=[^\W\d_])")
_LIST_ITEM = re.compile(rf"\s*[{_DASHES}\uff0d]+\s*(.*\w.*?)[\s,;]*")
_LIST_ITEM_LIKE_MINUS = re.compile(r"\s*[-\u2212\uff0d][^\W\d_]")


def spell_out_minus(text: str) -> str:
    """Replace a leading minus by "without": "dress -stripes" becomes "dress without stripes".

    A hyphen or minus sign is replaced only at the start of a word, or before words in quotes or
    brackets. "long-sleeved", "a - b" and a dash before a negation ("longer -no belt") are
    unchanged. A longer dash ("like this –shorter") is not a minus; a space is inserted between this
    dash and the word.

    In a text of several lines, a dash at the start of a line marks an entry of a list, and the
    entries are joined with commas: "Wishes:", "-blue" and "-longer" become "Wishes: blue, longer".
    """
    lines = [line for line in text.splitlines() if line.strip()]
    items = [_LIST_ITEM.fullmatch(line) for line in lines]
    if len(lines) > 1 and any(items):
        text = ""
        for line, item in zip(lines, items, strict=True):
            is_open = text.rstrip().endswith((",", ";", ":", ".", "!", "?"))
            text += "" if not text else "\n" if not item else " " if is_open else ", "
            text += line if item is None else item[1]
    text = _MINUS_AFTER_JOINT.sub(" ", _DASH_BEFORE_WORD.sub(r"\1 ", text))
    return _MINUS.sub("without ", text)


def has_ambiguous_list(text: str) -> bool:
    """Return whether a text has several lines, and one of them starts with a dash before a word.

    The dash in "-belt" may then be a bullet of a list. In a text of one line, it is a minus, which
    excludes the belt.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    return len(lines) > 1 and any(map(_LIST_ITEM_LIKE_MINUS.match, lines))


def spell_out_negations(text: str) -> str:
    """Return a text with its negations in a standard spelling.

    - Contractions get their apostrophe: "isnt" becomes "isn't".
    - "w/o" and "with out" become "without", and "w/" becomes "with".
    - A prohibition sign before a word becomes "not": "🚫red" becomes "not red". Other prohibition
      signs are separated from the words next to them, so that they can be reported as unknown; a
      word tokenizer would delete a sign that touches a word.
    - Signs for "not equal", such as "≠", become the word "!=", and "belt=no" becomes "belt = no".
      So `unknown_function_words` can find these signs.
    - A comma is added after an answer such as "no". Otherwise the two lines "belt: no" and "red:
      yes" would be read as "no red".
    - A list after a negation with a colon is joined by "or": "t-shirt (no: black, white)" becomes
      "t-shirt, not black or white".
    - Any other colon after a negation is removed: "without: hood" becomes "without hood". But
      after a sentence with a color or a pattern, "No: green" is a correction, and becomes "No,
      green".
    - An arrow between words becomes "to": "red -> blue" becomes "red to blue".
    - A leading minus becomes "without", see `spell_out_minus`.
    """
    text = _CORRECTING_NO.sub(r"\g<before>,", text)
    text = _LIST_AFTER_NEGATION.sub(_spell_out_list, text)
    text = _COLON_AFTER_NEGATION.sub(lambda match: f"{match[1] or match[2]} ", text)
    text = _ARROW.sub(" to ", text)
    text = _CONTRACTION.sub(r"\1\2'\3", text)
    text = _WITH.sub("with ", _WITHOUT.sub("without", text))
    text = _UNEQUAL.sub(" != ", _NOT_SIGN_AFTER_JOINT.sub(" ", text))
    text = _ANSWERED_NO.sub(_spaced_answer, text)
    text = _PROHIBITED.sub(" not ", text)
    return spell_out_minus(_PROHIBITION.sub(r" \1 ", text))


def _spell_out_list(match: re.Match[str]) -> str:
    """Return a list after a negation with a colon as one phrase: ", not black or white".

    "No: red" stays as it is at the start of a text without a garment after it, and in brackets
    after a color: there it corrects.

    Args:
        match: A match of the pattern of such lists.
    """
    before, after = match.string[: match.start()], match.string[match.end() :]
    things = match["things"]
    is_color = re.match(_LISTED_COLOR, things, re.IGNORECASE) is not None
    if match["negation"].lower() == "no":
        if not before.strip() and not ANY_KIND.search(after):
            return match[0]
        if match["open"] and is_color and ANY_COLOR.search(before):
            return match[0]
    is_single = re.search(_LIST_JOINT, things, re.IGNORECASE) is None
    is_short = match["negation"].lower() in ("no", "not", "without") and not match["open"]
    if is_single and is_short and before.strip() and match["gap"].strip() in (",", ";", "."):
        return match[0]  # `_COLON_AFTER_NEGATION` removes the colon
    names = [name for name in re.split(_LIST_JOINT, things, flags=re.IGNORECASE) if name]
    listed = " or ".join([", ".join(names[:-1]), names[-1]]) if names[1:] else names[0]
    is_kind = re.match(rf"(?:an?\s+|any\s+|the\s+)?(?:{KINDS})(?![\w'-])", things, re.IGNORECASE)
    word = "not" if is_color else "no" if is_kind else "without"
    gap = match["gap"] if not before.strip() else "\n" if "\n" in match["gap"] else ", "
    is_joined = re.match(r"\s*(?:$|[,.;:!?)\]}|\n])", after)
    return f"{gap}{word} {listed}{'' if is_joined else ','}"


def _spaced_answer(match: re.Match[str]) -> str:
    """Return an answer with spaces: " = no" for the "=no" of "belt=no".

    A comma is added if the line ends after the answer, or if a word with a sign follows, such as
    "red:". The comma separates the answer from the following words.

    Args:
        match: A match of the pattern of such answers.
    """
    sign, answer = match[1], match[2]
    before = "" if sign[0] in ":?" else " "
    is_end = _ANSWER_END.match(match.string, match.end()) is not None
    return f"{before}{sign} {answer}{',' if is_end else ''}"


# Words of negations that are often mistyped. Shorter ones differ from other words by one letter,
# such as "never" from "newer".
_OFTEN_MISTYPED = (
    "without", "except", "excluding", "anything", "everything", "something", "nothing", "instead",
)  # fmt: skip
# Short words of negations, in which letters may be exchanged, repeated or left out.
_SHORT = {"nt": "not"} | {word: word for word in ("no", "not", "non", "none", "never")}
_REPEATED_END = re.compile(r"(.)\1+$")


def correct_negation(word: str) -> str | None:
    """Return the right word for a mistyped word of a negation; None for any other word.

    For example, "exept" gives "except", and "nto" gives "not". A mistyped word has one wrong,
    missing or additional letter, or two letters in the wrong order. In short words, only these
    mistakes are corrected: the order of the letters of "not", a repeated last letter ("nooo"), and
    "nt" for "not".

    Args:
        word: A word that the model does not know.
    """
    word = word.lower()
    if word in _transposed("not"):
        return "not"
    if word in _SHORT.values():
        return None
    if short := _SHORT.get(word) or _SHORT.get(_REPEATED_END.sub(r"\1", word)):
        return short
    return next((right for right in _OFTEN_MISTYPED if is_slip(word, right)), None)


def is_slip(word: str, right: str) -> bool:
    """Return whether a word differs from the right word by a single typing mistake.

    A mistake is one wrong, missing or additional letter, or two adjacent letters in the wrong
    order.
    """
    if len(word) == len(right):
        differences = sum(map(operator.ne, word, right))
        return differences == 1 or word in _transposed(right)
    short, long = sorted((word, right), key=len)
    shortened = (long[:position] + long[position + 1 :] for position in range(len(long)))
    return len(long) == len(short) + 1 and short in shortened


def _transposed(word: str) -> list[str]:
    """Return all misspellings that result from exchanging two adjacent letters of a word."""
    return [
        word[:position] + second + first + word[position + 2 :]
        for position, (first, second) in enumerate(pairwise(word))
        if first != second
    ]


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
        match.span() for pattern in (ONLY, _EXCLUDES_NOTHING) for match in pattern.finditer(text)
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


def find_kind(text: str) -> str | None:
    """Return the last kind of garment that a text names, such as "dress"; None if it names none.

    Args:
        text: The text without the kinds that it excludes. `find_exclusions` returns such a text.
    """
    names = _KIND_OR_GROUP.findall(text)
    return " ".join(names[-1].lower().split()) if names else None


# Words before a kind of garment that asks for this kind: "as a", "make it a", "is a", "want a".
_ASKS_FOR_KIND = r"as|into|to|is|be|it|but|want|need|prefer|find|show|me|get|rather|now|same|please"
# Words that may not stand between those and the kind: they make it a part of another phrase, such
# as "with a jacket". "A longer skirt" asks for no other kind: the picture shows a skirt or a dress.
_GOVERNS_KIND = (
    r"with|without|has|have|having|on|of|under|over|underneath|above|below|for|from|like|than|and|or"
    r"|match\w*|goes|go|wear\w*|by|at|not|no|the|my|her|his|your|their|its|around|beside|layered"
    r"|more|less|(?:long|short|full|loos|tight|wid|narrow|small|bigg|larg|high|low|dark|light|bright"
    r"|pal|bold|deep|thick|thinn|slimm|baggi|flowi|straight|soft|heavi|warm|plain|simpl|fanci)er"
)
_FORM_KIND = re.compile(
    rf"(?:^|\b(?P<asks>{_ASKS_FOR_KIND})\s+|[,;:.!?]\s*)"
    rf"(?P<between>(?:(?!(?:{_GOVERNS_KIND}|{_ASKS_FOR_KIND})\b)[\w'-]+\s+){{0,5}}?)"
    rf"(?P<kind>{KINDS})"
    r"(?=\s*(?:$|[,;:.!?)]|(?:instead|please|like|version|form|in|with|without|that|which|but|now|too"
    r"|though|rather|and|for|to|of\s+(?:this|it|the\s+same))\b))",
    re.IGNORECASE,
)
_SAME_ON_KIND = re.compile(
    rf"\b(?:same|this|that|similar)\b[\w\s'-]{{0,60}}?\b(?:on|in|for)\s+an?\s+(?:[\w'-]+\s+){{0,2}}?"
    rf"(?P<kind>{KINDS})(?=\s*(?:$|[,;:.!?]|instead|please))",
    re.IGNORECASE,
)


def find_wished_kind(text: str) -> str | None:
    """Return the kind of garment that a text asks for, such as "skirt" for "as a skirt".

    A text that names a kind for another reason asks for none: "matches my skirt", "with a jacket",
    "cap sleeves".

    Args:
        text: The text without the kinds that it excludes. `find_exclusions` returns such a text.
    """
    found = [*_FORM_KIND.finditer(text), *_SAME_ON_KIND.finditer(text)]
    return " ".join(found[-1]["kind"].lower().split()) if found else None


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


def unknown_function_words(text: str, is_known: Callable[[str], bool]) -> list[str]:
    """Return the negations in a text that a model has not learned.

    Args:
        text: The text as typed.
        is_known: Function that returns whether a word is in the model's vocabulary.

    Returns:
        The unknown negations, without repetition, in lower case; empty if there are none. First
        come phrases such as "without any", in the order of the text. Then come, if present:

        - the phrase "no longer", and words such as "avoid";
        - "!" for "!red", and "!=" for "color != red";
        - "? no" for "red? no", ": no" for "belt: no", and "no" for "stripes (no)";
        - "~" for "~~red~~" and "~red", and a backslash for a difference of sets.
    """
    unknown: dict[str, None] = {}
    spelled = spell_out_negations(text)
    text = _prepare(spelled)
    for phrase in negations_in(text):
        needed = [*phrase, _LEARNED_WITH.get(phrase, phrase[0])]
        if not all(is_known(word) for word in needed):
            unknown[" ".join(phrase)] = None
    if _NO_LONGER.search(text):
        unknown["no longer"] = None
    for word in _EXCLUSIONS.findall(text):
        unknown[word.lower().replace("\u2019", "'")] = None
    if _NOT_SIGN.search(text):
        unknown["!"] = None
    if _UNEQUAL.search(text):
        unknown["!="] = None
    for sign, answer in _ANSWERED_NO.findall(text):
        unknown[f"{sign[0] if sign[0] in '?:=' else '-'} {answer.lower()}"] = None
    for answer in [
        *_BRACKETED_NO.findall(spelled),
        *_TRAILING_NO.findall(_LEADING_NO.sub("", spelled)),
    ]:
        unknown[answer.lower()] = None
    if _STRUCK_OUT.search(spelled):
        unknown["~"] = None
    for sign in _COMPLEMENT.findall(spelled):
        if sign[0] != "~" or not _ABOUT.search(spelled):
            unknown[sign[0]] = None
    return list(unknown)


def _prepare(spelled: str) -> str:
    """Remove what would disturb the search for negations: quotes, brackets and "nothing but".

    Phrases such as "nothing but" name the only thing that is wanted, so they exclude nothing.

    Args:
        spelled: The text, as returned by `spell_out_negations`.
    """
    return ONLY.sub(" ", _MARKS.sub("", spelled))


def overlooked_negations(text: str, has_image: bool) -> list[str]:
    """Return the negations in a text that the bundled checkpoint often ignores.

    It ignores them although it was trained on them. Each is listed once, in lower case, for example
    "anything but" or, with the excluded color, "no red". Phrases such as "nothing but red" are not
    listed, since they name the only thing that is wanted.

    Args:
        text: The text of a query.
        has_image: Whether the query also has a reference image. With an image, fewer negations are
            overlooked.
    """
    text = _prepare(spell_out_negations(text))
    negations = negations_in(text)
    if has_image:
        phrases = [" ".join(phrase) for phrase in negations if phrase[0] in _OVERLOOKED_WITH_IMAGE]
        phrases += find_phrases(_NO_SMALL_PART, text)
    else:
        phrases = [" ".join(phrase) for phrase in negations if phrase not in _FOLLOWED]
        if not _ONLY_NOT_COLOR.fullmatch(text):
            phrases += [match.lower() for match in _NO_COLOR.findall(text)]
        phrases += find_phrases(_NO_HOOD, text)
    for pattern in (_NO_KIND, _NO_SHAPE, _ODD_NO_COLOR):
        phrases += find_phrases(pattern, text)
    return list(dict.fromkeys(phrases))


def unmeasured_negations(text: str, has_image: bool) -> list[str]:
    """Return the negations in a text for which no measurement shows whether a model follows them.

    The measurements were made with the bundled checkpoint. The result contains each negation once,
    in lower case, with some of the words after it. It does not contain:

    - negations that the checkpoint was measured to follow;
    - negations that `overlooked_negations` or `unknown_function_words` returns;
    - phrases that `false_negations` or `swapped_colors` returns.

    Args:
        text: The text of a query.
        has_image: Whether the query also has a reference image.
    """
    text = _prepare(spell_out_negations(text))
    if not has_image and _FOLLOWED_ALONE.fullmatch(text):
        return []
    known = [
        *overlooked_negations(text, has_image),
        *unknown_function_words(text, lambda word: True),
        *false_negations(text),
        *swapped_colors(text),
    ]
    patterns = [re.escape(phrase).replace(r"\ ", r"\s+") for phrase in known if phrase]
    spans = [
        match.span() for phrase in patterns for match in re.finditer(phrase, text, re.IGNORECASE)
    ]
    others = []
    for match in _ANY_NEGATION.finditer(text):
        start = match.start()
        followed = _FOLLOWED_WITH_IMAGE if has_image else _WITH_SLEEVES
        if followed.match(text, start) or any(first <= start < last for first, last in spans):
            continue
        others.append(_LAST_WORD.sub("", " ".join(match[0].lower().split())))
    return list(dict.fromkeys(others))


def false_negations(text: str) -> list[str]:
    """Return phrases that look like negations but exclude nothing, each once, in lower case.

    A model reads "no, in red" as "no red", and "not only red" as "not red".
    """
    return list(
        dict.fromkeys([*find_phrases(_LEADING_NO, text), *find_phrases(_EXCLUDES_NOTHING, text)])
    )


def swapped_colors(text: str) -> list[str]:
    """Return phrases in which one color replaces another, such as "not red but blue".

    Each phrase is returned once, in lower case.
    """
    return find_phrases(_SWAPPED, text)


def negation_note(text: str, is_known: Callable[[str], bool], has_image: bool) -> str | None:
    """Return a message about negations that a model may misunderstand; None if the text has none.

    The message names the negations that the model has not learned, those that it often overlooks or
    may overlook, and phrases that only look like a negation. It also says what to do instead.

    Args:
        text: The text of a query.
        is_known: Function that returns whether a word is in the model's vocabulary.
        has_image: Whether the query also has a reference image.
    """
    unknown = unknown_function_words(text, is_known)
    overlooked = [
        phrase for phrase in overlooked_negations(text, has_image) if phrase not in unknown
    ]
    unmeasured = [
        phrase
        for phrase in unmeasured_negations(text, has_image)
        if not any(known in phrase for known in (*unknown, *overlooked))
    ]
    excludes_nothing = [
        phrase
        for phrase in false_negations(text)
        if is_known("not" if "not" in phrase.split() else "no")
    ]
    mistaken = (
        f"The model reads {' and '.join(map(_quoted, excludes_nothing))} as a negation of what "
        "follows. If you want what follows, remove these words."
        if excludes_nothing
        else ""
    )
    if swaps := swapped_colors(text):
        confused = f"The model often confuses the colors in {' and '.join(map(_quoted, swaps))}."
        mistaken = f"{mistaken} {confused} Name only the color that you want.".strip()
    if not unknown and not overlooked and not unmeasured:
        return mistaken or None
    without_image = "" if has_image else " without a picture"
    parts = [
        f"The model {verb} {', '.join(_quoted(phrase) for phrase in phrases)}{condition}"
        for verb, phrases, condition in (
            ("has not learned", unknown, ""),
            ("often overlooks", overlooked, without_image),
            ("may overlook", unmeasured, without_image),
        )
        if phrases
    ]
    uses = {"not": "before a color", "without": "before anything else"}
    known = [f"{_quoted(word)} {use}" for word, use in uses.items() if is_known(word)]
    hopeless = (_NO_KIND, _NO_SHAPE, *((_NO_SMALL_PART,) if has_image else ()))
    is_hopeless = any(pattern.search(text) for pattern in hopeless)
    uses_help = unknown or (has_image and overlooked and not is_hopeless)
    advice = f" Use {', '.join(known)}." if known and uses_help else ""
    if (overlooked or unmeasured) and not has_image and not is_hopeless:
        advice += " Add a picture, or name what you want instead."
    elif is_hopeless or unmeasured:
        advice += " Name what you want instead."
    note = f"{'; '.join(parts)}: the results may have what the words exclude.{advice}"
    return f"{note} {mistaken}" if mistaken else note


def find_phrases(pattern: re.Pattern[str], text: str) -> list[str]:
    """Return the parts of a text that match a pattern, each once, in lower case.

    White space in a part is reduced to single spaces.

    Args:
        pattern: A pattern with exactly one group. The part that matches the group is returned.
        text: The text.
    """
    matches = (" ".join(match.lower().split()) for match in pattern.findall(text))
    return list(dict.fromkeys(matches))


def _quoted(phrase: str) -> str:
    """Return a phrase in double quotes."""
    return f'"{phrase}"'
