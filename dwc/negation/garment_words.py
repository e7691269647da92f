"""Words for garments: names of colors, patterns, parts, cuts and kinds of garments.

Most are regular expressions of what people type. `find_kind` and `find_wished_kind` find the kind
of garment that a text names or asks for.
"""

import re

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
PATTERN_OR_PLAIN = rf"{PATTERN_NAMES}|plain"

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
SMALL_PARTS = (
    "zips?|zippers?|zipped|buttons?|buttoned|collars?|collared|pockets?|laces|laced|straps?|lapels?"
)
SHADED_COLOR = rf"(?:(?:very\s+)?(?:dark|light|bright|pale|deep|medium)[\s-]+)?(?:{COLORS})"
ANY_COLOR = re.compile(COLORS, re.IGNORECASE)
RARE_PATTERNS = (
    r"pinstripe[sd]?|zig-?zags?|chevrons?|colou?r\s+blocks?|leopard(?:\s+(?:print|spots))?"
    r"|animal\s+print"
)
# Regular expression of details of garments: parts and cuts, such as "narrow brim". "no high heels"
# excludes a detail, and "no heels" a kind of shoe.
DETAIL = (
    rf"(?:(?:{COLORS})\s+(?:in\s+the\s+pattern|as\s+the\s+second\s+colou?r)"
    rf"|{RARE_PATTERNS}"
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
ANY_PATTERN = re.compile(rf"\b(?:{PATTERN_NAMES})\b", re.IGNORECASE)
ANY_KIND = re.compile(rf"(?<![\w'-])(?:{KINDS})(?![\w'-])", re.IGNORECASE)
_KIND_OR_GROUP = re.compile(rf"(?<![\w'-])(?:{KINDS}|{_GROUPS})(?![\w'-])", re.IGNORECASE)


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
