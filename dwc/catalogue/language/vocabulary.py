"""The vocabulary: nouns for garments, and words for the values of every attribute.

Some nouns also specify attributes: a cardigan is a jumper with buttons. Such a noun is used only
for garments with the specified values, and the specified attributes count as stated by the text.

A value has up to three kinds of words: adjectives ("belted", before the noun or after "is"), parts
of the garment ("a belt", after "has" or "with"), and absent parts ("belt", after "no" or
"without"). Each such word allows exactly one value. `DENIED` has nouns that exclude a value after
"no": "no stripes" allows every other pattern. Some names of a color allow every shade (`BARE`),
others only one (`NAMED`). Further words compare a value with that of the reference ("longer").
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from dwc.catalogue.schema import COLORS, ORDERED, UNSHADED, Garment, attributes_of


@dataclass(frozen=True)
class Noun:
    """A noun for a garment, with the attribute values that the noun implies.

    Attributes:
        text: The noun, without an article.
        says: The allowed values of each attribute that the noun specifies: a "gown" is long.
    """

    text: str
    says: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def suits(self, garment: Garment) -> bool:
        """Return whether the garment has the values that the noun implies: a "gown" is long."""
        return all(garment.get(name) in values for name, values in self.says.items())


def _noun(text: str, **says: str) -> Noun:
    """Return a noun that implies attribute values, such as `_noun("gown", length="long")`.

    If the noun allows several values of an attribute, they are separated by spaces.
    """
    return Noun(text, {name: frozenset(values.split()) for name, values in says.items()})


# Categories whose nouns are plural: "a pair of boots", "the shorts are".
PLURAL = frozenset({"trousers", "shorts", "trainers", "boots", "heels", "flats", "sandals"})

# The first nouns of each category specify nothing but the category.
NOUNS: dict[str, tuple[Noun, ...]] = {
    "dress": (
        _noun("dress"),
        _noun("gown", length="long"),
        _noun("frock"),
        _noun("minidress", length="short"),
        _noun("mini dress", length="short"),
        _noun("midi dress", length="medium"),
        _noun("maxi dress", length="long"),
        _noun("sundress", sleeve="sleeveless"),
        _noun("shirt dress", neckline="collar"),
    ),
    "t_shirt": (
        _noun("t-shirt"),
        _noun("tee"),
        _noun("t shirt"),
        _noun("tshirt"),
        _noun("tank top", sleeve="sleeveless"),
        _noun("tank", sleeve="sleeveless"),
        _noun("vest top", sleeve="sleeveless"),
        _noun("longsleeve", sleeve="long"),
        _noun("longsleeve shirt", sleeve="long"),
        _noun("long sleeve", sleeve="long"),
        _noun("long sleeve top", sleeve="long"),
        _noun("long sleeved top", sleeve="long"),
        _noun("long sleeve tee", sleeve="long"),
        _noun("crop top", length="cropped"),
    ),
    "shirt": (
        _noun("shirt"),
        _noun("blouse"),
        _noun("button-up shirt"),
        _noun("button down shirt"),
        _noun("dress shirt", sleeve="long"),
    ),
    "jumper": (
        _noun("jumper"),
        _noun("sweater"),
        _noun("knit"),
        _noun("pullover", fastening="none"),
        _noun("cardigan", fastening="buttons"),
        _noun("cardi", fastening="buttons"),
        _noun("polo neck", neckline="roll", fastening="none"),
        _noun("turtleneck", neckline="roll", fastening="none"),
        _noun("turtleneck sweater", neckline="roll"),
    ),
    "hoodie": (
        _noun("hoodie"),
        _noun("hooded sweatshirt"),
        _noun("hoody"),
        _noun("sweatshirt", fastening="none"),
        _noun("zip-up hoodie", fastening="zip"),
    ),
    "jacket": (
        _noun("jacket"),
        _noun("blazer", neckline="lapel", fastening="buttons"),
        _noun("suit jacket", neckline="lapel", fastening="buttons"),
        _noun("bomber jacket", neckline="round", fastening="zip"),
    ),
    "coat": (
        _noun("coat"),
        _noun("overcoat"),
        _noun("winter coat"),
        _noun("parka", neckline="hood"),
        _noun("raincoat", neckline="hood", fastening="zip"),
        _noun("trench coat", neckline="lapel", waist="belted"),
        _noun("trench", neckline="lapel", waist="belted"),
    ),
    "skirt": (
        _noun("skirt"),
        _noun("miniskirt", length="short"),
        _noun("mini skirt", length="short"),
        _noun("midi skirt", length="medium"),
        _noun("maxi skirt", length="long"),
        _noun("pencil skirt", hem="straight", length="medium"),
    ),
    "trousers": (
        _noun("trousers"),
        _noun("pants"),
        _noun("slacks"),
        _noun("jeans", waist="plain belted", pockets="none"),
        _noun("leggings", fit="slim", waist="plain", pockets="none"),
        _noun("culottes", length="cropped", fit="loose"),
        _noun("chinos", fit="regular slim", waist="plain belted", pockets="none"),
        _noun("tracksuit bottoms", waist="drawstring"),
        _noun("joggers", waist="drawstring"),
        _noun("sweatpants", waist="drawstring"),
        _noun("cargo pants", pockets="cargo"),
    ),
    "shorts": (
        _noun("shorts"),
        _noun("short pants"),
        _noun("bermudas", length="medium"),
        _noun("hot pants", length="short", fit="slim"),
        _noun("cargo shorts", pockets="cargo"),
    ),
    "trainers": (
        _noun("trainers"),
        _noun("sneakers"),
        _noun("tennis shoes"),
        _noun("running shoes", length="short"),
        _noun("high tops", length="medium"),
    ),
    "boots": (
        _noun("boots"),
        _noun("ankle boots", length="short"),
        _noun("booties", length="short"),
        _noun("knee high boots", length="long"),
        _noun("chelsea boots", length="short", heel="flat low", fastening="none"),
        _noun("lace-up boots", fastening="laces"),
    ),
    "heels": (
        _noun("heels"),
        _noun("heeled shoes"),
        _noun("high heels", heel="high"),
        _noun("court shoes", toe="round pointed", fastening="none"),
        _noun("pumps", toe="round pointed", fastening="none"),
        _noun("stilettos", heel="high", sole="thin"),
        _noun("platforms", sole="chunky", heel="high"),
        _noun("peep toes", toe="open"),
    ),
    "flats": (
        _noun("flats"),
        _noun("flat shoes"),
        _noun("loafers", fastening="none"),
        _noun("ballerinas", toe="round", heel="flat", fastening="none"),
        _noun("ballet flats", toe="round", heel="flat", fastening="none"),
        _noun("lace-ups", fastening="laces"),
        _noun("brogues", fastening="laces"),
        _noun("mary janes", fastening="strap buckle"),
    ),
    "sandals": (
        _noun("sandals"),
        _noun("summer sandals"),
        _noun("platform sandals", sole="chunky"),
        _noun("strappy sandals", strap="crossed"),
        _noun("slides", heel="flat", fastening="none", strap="wide"),
    ),
    "bag": (
        _noun("bag"),
        _noun("handbag"),
        _noun("purse"),
        _noun("tote", shape="tote"),
        _noun("tote bag", shape="tote"),
        _noun("shopper", shape="tote", strap="handles"),
        _noun("shoulder bag", strap="shoulder"),
        _noun("satchel", strap="shoulder", fastening="flap"),
    ),
    "hat": (
        _noun("hat"),
        _noun("cap", brim="peaked"),
        _noun("baseball cap", brim="peaked", trim="none"),
        _noun("beanie", brim="none"),
        _noun("bucket hat", brim="narrow", trim="none"),
        _noun("sun hat", brim="wide"),
        _noun("fedora", brim="narrow", trim="band"),
    ),
}

SHOES = frozenset({"trainers", "boots", "heels", "flats", "sandals"})

# Nouns for several categories at once. They are used only in the given form, singular or plural.
HYPERNYMS: dict[str, frozenset[str]] = {
    "top": frozenset({"t_shirt", "shirt", "jumper", "hoodie"}),
    "upper": frozenset({"t_shirt", "shirt", "jumper"}),
    "knitwear": frozenset({"jumper"}),
    "outerwear": frozenset({"jacket", "coat"}),
    "bottoms": frozenset({"trousers", "shorts"}),
    "legwear": frozenset({"trousers", "shorts"}),
    "shoes": SHOES,
    "shoe": SHOES,
    "footwear": SHOES,
    "kicks": frozenset({"trainers"}),
    "accessory": frozenset({"bag", "hat"}),
    "headwear": frozenset({"hat"}),
    "garment": frozenset({"dress", "shirt", "jacket", "coat", "skirt"}),
    "something": frozenset(NOUNS),
}
UNCOUNTABLE = frozenset({"knitwear", "outerwear", "legwear", "footwear", "headwear", "something"})
PLURAL_HYPERNYMS = frozenset({"bottoms", "shoes", "kicks"})


def generic_nouns(category: str) -> tuple[Noun, ...]:
    """Return the nouns of a category that imply no attribute values: "dress", but not "gown"."""
    return tuple(noun for noun in NOUNS[category] if not noun.says)


def nouns_for(garment: Garment) -> tuple[Noun, ...]:
    """Return the nouns of the garment's category that are true of the garment."""
    return tuple(noun for noun in NOUNS[garment.category] if noun.suits(garment))


def with_article(phrase: str) -> str:
    """Return a phrase with `a` or `an` before it."""
    return f"{article(phrase)} {phrase}"


def article(phrase: str) -> str:
    """Return `an` if the phrase starts with a vowel letter (but not "one" or "uni"), else `a`."""
    return "an" if phrase[0] in "aeiou" and not phrase.startswith(("one", "uni")) else "a"


# Names that specify the color but not the shade: a blue coat may be navy.
BARE: dict[str, tuple[str, ...]] = {
    **{color: (color,) for color in COLORS},
    "grey": ("grey", "gray"),
    "purple": ("purple", "purple", "violet"),
    "black": ("black", "black", "jet black"),
    "white": ("white", "white", "pure white"),
}

# Names that specify a color and its shade: navy is always dark blue.
NAMED: dict[tuple[str, str], tuple[str, ...]] = {
    ("red", "light"): ("salmon red", "washed-out red"),
    ("red", "mid"): ("scarlet", "bright red", "cherry red"),
    ("red", "dark"): ("crimson", "burgundy", "maroon", "wine red", "blood red"),
    ("pink", "light"): ("blush", "baby pink", "powder pink", "salmon pink"),
    ("pink", "mid"): ("rose pink", "bubblegum pink"),
    ("pink", "dark"): ("hot pink", "fuchsia", "magenta", "raspberry"),
    ("orange", "light"): ("peach", "apricot"),
    ("orange", "mid"): ("tangerine", "bright orange"),
    ("orange", "dark"): ("rust", "burnt orange"),
    ("yellow", "light"): ("lemon", "pastel yellow", "butter yellow"),
    ("yellow", "mid"): ("sunny yellow", "bright yellow"),
    ("yellow", "dark"): ("mustard", "ochre", "gold", "golden yellow"),
    ("green", "light"): ("mint", "mint green", "pastel green"),
    ("green", "mid"): ("grass green", "bright green", "emerald"),
    ("green", "dark"): ("forest green", "bottle green"),
    ("teal", "light"): ("turquoise", "aqua"),
    ("teal", "mid"): ("mid teal",),
    ("teal", "dark"): ("petrol", "petrol blue"),
    ("blue", "light"): ("sky blue", "baby blue", "powder blue"),
    ("blue", "mid"): ("royal blue", "cobalt", "bright blue", "denim blue"),
    ("blue", "dark"): ("navy", "navy blue", "midnight blue"),
    ("purple", "light"): ("lilac", "lavender"),
    ("purple", "mid"): ("bright purple", "amethyst"),
    ("purple", "dark"): ("plum", "aubergine", "eggplant"),
    ("brown", "light"): ("tan", "caramel"),
    ("brown", "mid"): ("chestnut", "chestnut brown"),
    ("brown", "dark"): ("chocolate", "chocolate brown", "coffee"),
    ("beige", "light"): ("cream", "ivory", "off-white"),
    ("beige", "mid"): ("sand coloured", "sandy beige"),
    ("beige", "dark"): ("taupe", "khaki"),
    ("grey", "light"): ("silver", "silver grey"),
    ("grey", "mid"): ("stone grey", "mid gray"),
    ("grey", "dark"): ("charcoal", "slate grey", "charcoal gray"),
}

SHADE_WORDS: dict[str, tuple[str, ...]] = {
    "light": ("light", "light", "pale"),
    "mid": ("medium", "mid"),
    "dark": ("dark", "dark", "deep"),
}


def shaded_names(color: str, shade: str) -> tuple[str, ...]:
    """Return the names of a color in a shade: "dark blue" and "navy" for a dark blue.

    Black and white have no shades, so names such as "black" and "jet black" are returned.
    """
    if color in UNSHADED:
        return BARE[color]
    described = tuple(f"{word} {name}" for word in SHADE_WORDS[shade] for name in BARE[color][:2])
    return described + NAMED[color, shade]


@dataclass(frozen=True)
class Words:
    """Phrases with the same meaning.

    Attributes:
        being: Phrases for use after "is" or before a noun.
        having: Phrases for use after "has" or "with".
        lacking: Phrases for use after "no" or "without".
    """

    being: tuple[str, ...] = ()
    having: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()


def _words(being: str = "", having: str = "", lacking: str = "") -> Words:
    """Return `Words` from comma-separated lists of phrases."""
    lists = (
        tuple(w.strip() for w in text.split(",") if w.strip()) for text in (being, having, lacking)
    )
    return Words(*lists)


PATTERN_WORDS: dict[str, Words] = {
    "plain": _words("plain, solid, solid coloured, one colour, unpatterned", "", "pattern, print"),
    "striped": _words("striped, stripy, stripey", "stripes, a striped pattern"),
    "pinstriped": _words("pinstriped, pinstripe", "pinstripes, fine stripes, very thin stripes"),
    "checked": _words(
        "checked, plaid, checkered, chequered, tartan", "checks, a plaid pattern, a check pattern"
    ),
    "dotted": _words("dotted, spotted, polka dot, spotty", "dots, polka dots, spots"),
    "floral": _words("floral, flowery, flowered", "flowers, a floral print, a flower pattern"),
    "zigzag": _words("zigzag, chevron, zig zag", "zigzags, a zigzag pattern, zigzag lines"),
    "leopard": _words(
        "leopard print, leopard, animal print", "a leopard print, leopard spots, an animal print"
    ),
    "colour_block": _words(
        "colour block, color blocked, two-tone", "colour blocks, two blocks of colour"
    ),
    "graphic": _words(
        "graphic, printed", "a graphic, a logo, a picture on the front, a motif on the front"
    ),
}

# Templates of phrases for a pattern in the second color; {} is the color's name.
PATTERN_IN_COLOR: dict[str, tuple[str, ...]] = {
    "striped": ("{} stripes", "stripes in {}"),
    "pinstriped": ("{} pinstripes", "fine {} stripes"),
    "checked": ("{} checks", "a {} plaid pattern", "a check pattern in {}"),
    "dotted": ("{} dots", "{} polka dots", "{} spots"),
    "floral": ("{} flowers", "a {} floral print", "a flower pattern in {}"),
    "zigzag": ("{} zigzags", "a {} zigzag pattern", "zigzag lines in {}"),
    "leopard": ("{} leopard spots", "a {} leopard print", "an animal print in {}"),
    "colour_block": ("a block of {}", "a {} colour block"),
    "graphic": ("a {} graphic", "a {} logo", "a {} picture on the front"),
}

# Rank of each pattern for "busier" and "less busy"; patterns of equal rank are not compared.
BUSYNESS: dict[str, int] = {
    "plain": 0, "pinstriped": 1, "colour_block": 1, "striped": 2, "dotted": 2, "checked": 2,
    "graphic": 2, "zigzag": 3, "floral": 3, "leopard": 3,
}  # fmt: skip

_SLEEVES = {
    "sleeveless": _words("sleeveless", "", "sleeves"),
    "short": _words("short sleeved, short-sleeved, short sleeve", "short sleeves"),
    "elbow": _words(
        "elbow length sleeved, half sleeved",
        "elbow length sleeves, half sleeves, sleeves to the elbow",
    ),
    "long": _words("long sleeved, long-sleeved, long sleeve", "long sleeves, full length sleeves"),
}
_FITS = {
    "slim": _words(
        "slim, fitted, tight, slim fit, tight fitting, close-fitting", "a slim fit, a tight fit"
    ),
    "regular": _words("regular fit, standard fit, classic fit", "a regular fit, a normal fit"),
    "loose": _words(
        "loose, baggy, oversized, loose fitting, roomy, slouchy", "a loose fit, a relaxed fit"
    ),
}
_HEMS = {
    "straight": _words("straight, straight cut", "a straight hem"),
    "flared": _words("flared, a-line, flowing, flowy", "a flared hem, a full skirt"),
    "ruffled": _words(
        "ruffled, frilly, ruffly", "a ruffled hem, ruffles, frills, frills at the bottom"
    ),
}
_TOES = {
    "round": _words("round toed, round toe", "a round toe, rounded toes"),
    "pointed": _words("pointed, pointy, pointy toed", "a pointed toe, pointy toes"),
    "open": _words("open toed, open toe, peep toe", "an open toe, open toes"),
}
_HEELS = {
    "flat": _words("flat, flat heeled", "a flat sole", "heel"),
    "low": _words("low heeled", "a low heel, low heels, a small heel, a kitten heel"),
    "high": _words("high heeled", "a high heel, high heels, a tall heel"),
}
_FASTENINGS = {
    "buttons": _words("buttoned, button-up, button front", "buttons, buttons down the front"),
    "zip": _words("zipped, zip-up, zippered", "a zip, a zipper, a zip fastening"),
    "laces": _words("laced, lace-up", "laces, shoelaces"),
    "strap": _words("strapped", "a strap across, a strap fastening"),
    "buckle": _words("buckled", "a buckle, a buckle fastening"),
}

_GENERAL: dict[tuple[str, str], Words] = {
    ("shade", "light"): _words("light coloured, pale, light"),
    ("shade", "mid"): _words("medium toned"),
    ("shade", "dark"): _words("dark coloured, dark, deep coloured"),
    **{("pattern", value): words for value, words in PATTERN_WORDS.items()},
    **{("sleeve", value): words for value, words in _SLEEVES.items()},
    **{("fit", value): words for value, words in _FITS.items()},
    **{("hem", value): words for value, words in _HEMS.items()},
    **{("toe", value): words for value, words in _TOES.items()},
    **{("heel", value): words for value, words in _HEELS.items()},
    **{("fastening", value): words for value, words in _FASTENINGS.items()},
    ("neckline", "round"): _words(
        "crew neck, round neck", "a round neck, a crew neck, a round neckline"
    ),
    ("neckline", "v"): _words(
        "v-neck, v neck, v necked", "a v-neck, a v neck, a v neckline, a v shaped neckline"
    ),
    ("neckline", "square"): _words("square neck", "a square neck, a square neckline"),
    ("neckline", "collar"): _words("collared", "a collar, a shirt collar"),
    ("neckline", "roll"): _words(
        "roll neck, polo neck, high necked", "a roll neck, a turtle neck, a polo neck"
    ),
    ("neckline", "lapel"): _words("lapelled", "lapels, a lapel collar"),
    ("neckline", "hood"): _words("hooded", "a hood"),
    ("neckline", "stand"): _words("stand collar", "a stand-up collar, a standing collar"),
    ("length", "cropped"): _words("cropped", "a cropped cut, a cropped length"),
    ("length", "short"): _words("short", "a short length"),
    ("length", "medium"): _words("medium length", "a medium length"),
    ("length", "long"): _words("long", "a long cut"),
    ("waist", "plain"): _words("unbelted, beltless", "", "belt"),
    ("waist", "belted"): _words("belted", "a belt, a belt around the waist, a belted waist"),
    ("waist", "drawstring"): _words(
        "elasticated", "a drawstring, a drawstring waist, an elastic waist with a drawstring"
    ),
    ("pockets", "none"): _words("", "", "pockets"),
    ("pockets", "chest"): _words("", "a chest pocket, a breast pocket, a pocket on the chest"),
    ("pockets", "pouch"): _words("", "a pouch pocket, a kangaroo pocket, a front pocket"),
    ("pockets", "patch"): _words("", "patch pockets, pockets, pockets on the front"),
    ("pockets", "cargo"): _words("", "cargo pockets, side pockets, pockets on the legs"),
    ("sole", "thin"): _words("thin soled", "a thin sole, thin soles"),
    ("sole", "chunky"): _words("chunky, thick soled", "a chunky sole, a thick sole, thick soles"),
    ("strap", "thin"): _words("", "thin straps, narrow straps, skinny straps"),
    ("strap", "wide"): _words("", "wide straps, broad straps, thick straps"),
    ("strap", "crossed"): _words(
        "criss-cross", "crossed straps, criss cross straps, straps that cross over"
    ),
    ("strap", "handles"): _words("", "handles, two handles, short handles"),
    ("strap", "shoulder"): _words("", "a shoulder strap, a long strap, a strap for the shoulder"),
    ("strap", "chain"): _words("", "a chain, a chain strap, a metal chain"),
    ("shape", "boxy"): _words("boxy, square, rectangular, structured", "a boxy shape"),
    ("shape", "rounded"): _words("rounded, curved, round", "a rounded shape, round corners"),
    ("shape", "tote"): _words("tote style, tote shaped", "a tote shape"),
    ("brim", "none"): _words("brimless", "", "brim"),
    ("brim", "peaked"): _words("peaked", "a peak, a visor, a peak at the front"),
    ("brim", "narrow"): _words("narrow brimmed", "a narrow brim, a small brim"),
    ("brim", "wide"): _words("wide brimmed, floppy", "a wide brim, a large brim, a big brim"),
    ("trim", "none"): _words("untrimmed", "", "band, ribbon"),
    ("trim", "band"): _words("", "a band, a hat band, a ribbon around it"),
}

# Words for a value that a category uses instead of the general ones.
_SPECIAL: dict[tuple[str, str, str], Words] = {
    ("dress", "length", "short"): _words("short, mini", "a mini length, a hem above the knee"),
    ("dress", "length", "medium"): _words(
        "knee length, midi, knee-length, mid length", "a midi length, a hem at the knee"
    ),
    ("dress", "length", "long"): _words(
        "long, maxi, floor length, full length", "a maxi length, a hem at the ankle"
    ),
    ("skirt", "length", "short"): _words("short, mini", "a mini length, a hem above the knee"),
    ("skirt", "length", "medium"): _words(
        "knee length, midi, mid length", "a midi length, a hem at the knee"
    ),
    ("skirt", "length", "long"): _words("long, maxi, floor length", "a maxi length"),
    ("t_shirt", "length", "medium"): _words("hip length, normal length", "a normal length"),
    ("t_shirt", "length", "cropped"): _words("cropped, crop", "a cropped cut"),
    ("jumper", "length", "medium"): _words("hip length, regular length", "a regular length"),
    ("jumper", "length", "long"): _words("long, longline, thigh length", "a long cut"),
    ("hoodie", "length", "medium"): _words("hip length, regular length", "a regular length"),
    ("jacket", "length", "medium"): _words("hip length, regular length", "a regular length"),
    ("coat", "length", "medium"): _words("knee length, mid length", "a hem at the knee"),
    ("coat", "length", "long"): _words("long, full length, ankle length", "a long cut"),
    ("trousers", "length", "cropped"): _words(
        "cropped, ankle length, capri, three quarter length", "cropped legs, three quarter legs"
    ),
    ("trousers", "length", "long"): _words("full length, long", "long legs, full length legs"),
    ("shorts", "length", "short"): _words("short, mini, very short", "short legs"),
    ("shorts", "length", "medium"): _words("knee length, mid length", "legs to the knee"),
    ("trainers", "length", "short"): _words("low top, low cut", "a low top"),
    ("trainers", "length", "medium"): _words("high top, hi-top", "a high top, a high ankle"),
    ("boots", "length", "short"): _words("ankle high, ankle length", "a short shaft"),
    ("boots", "length", "medium"): _words("mid calf, calf length", "a calf length shaft"),
    ("boots", "length", "long"): _words("knee high, tall", "a long shaft, a tall shaft"),
    ("trousers", "fit", "slim"): _words(
        "slim, skinny, tight, slim fit, fitted", "slim legs, skinny legs, a slim fit"
    ),
    ("trousers", "fit", "regular"): _words("regular fit, straight leg", "straight legs"),
    ("trousers", "fit", "loose"): _words(
        "loose, baggy, wide leg, wide", "wide legs, baggy legs, a loose fit"
    ),
    ("shorts", "fit", "slim"): _words("slim, tight, fitted, slim fit", "tight legs, a slim fit"),
    ("shorts", "fit", "loose"): _words("loose, baggy, wide, roomy", "wide legs, a loose fit"),
    ("skirt", "hem", "flared"): _words("flared, a-line, flowing, flowy", "a flared hem"),
    ("trousers", "waist", "plain"): _words("", "a plain waist, a plain waistband"),
    ("shorts", "waist", "plain"): _words("", "a plain waist, a plain waistband"),
    ("jumper", "fastening", "none"): _words("pull-on", "a closed front", "buttons"),
    ("hoodie", "fastening", "none"): _words("pull-on", "a closed front", "zip, zipper"),
    ("skirt", "fastening", "none"): _words("buttonless", "", "buttons"),
    ("trainers", "fastening", "none"): _words("slip-on, slip on", "", "fastening"),
    ("trainers", "fastening", "strap"): _words("", "a velcro strap, a strap fastening, a strap"),
    ("boots", "fastening", "none"): _words("pull-on, slip-on", "", "fastening"),
    ("flats", "fastening", "none"): _words("slip-on, slip on", "", "fastening"),
    ("heels", "fastening", "none"): _words("strapless, slip-on", "", "strap"),
    ("heels", "fastening", "strap"): _words("strappy", "a strap, an ankle strap"),
    ("flats", "fastening", "strap"): _words("", "a strap, a strap across the foot"),
    ("sandals", "fastening", "none"): _words("slip-on, slip on", "", "buckle"),
    ("bag", "fastening", "none"): _words("open, open topped", "an open top", "fastening, closure"),
    ("bag", "fastening", "flap"): _words("", "a flap, a front flap, a fold-over flap"),
    ("flats", "heel", "flat"): _words("flat, completely flat", "a flat sole", "heel"),
}  # fmt: skip

# Nouns that follow "no" to deny a value, by attribute and denied value.
DENIED: dict[tuple[str, str], tuple[str, ...]] = {
    ("pattern", "striped"): ("stripes",),
    ("pattern", "pinstriped"): ("stripes", "pinstripes"),
    ("pattern", "checked"): ("checks", "plaid"),
    ("pattern", "dotted"): ("dots", "spots", "polka dots"),
    ("pattern", "floral"): ("flowers", "floral print"),
    ("pattern", "zigzag"): ("zigzags", "zigzag lines"),
    ("pattern", "leopard"): ("leopard print", "animal print"),
    ("pattern", "graphic"): ("graphic", "logo"),
    ("neckline", "v"): ("v-neck", "v neck"),
    ("neckline", "square"): ("square neck",),
    ("neckline", "collar"): ("collar",),
    ("neckline", "roll"): ("roll neck", "turtle neck"),
    ("neckline", "lapel"): ("lapels",),
    ("neckline", "hood"): ("hood",),
    ("hem", "ruffled"): ("ruffles", "frills"),
    ("waist", "belted"): ("belt",),
    ("waist", "drawstring"): ("drawstring",),
    ("fastening", "buttons"): ("buttons",),
    ("fastening", "zip"): ("zip", "zipper"),
    ("fastening", "laces"): ("laces",),
    ("fastening", "strap"): ("strap",),
    ("fastening", "buckle"): ("buckle",),
    ("fastening", "flap"): ("flap",),
    ("pockets", "chest"): ("chest pocket", "pocket"),
    ("pockets", "pouch"): ("pouch pocket", "pocket"),
    ("pockets", "patch"): ("pockets",),
    ("pockets", "cargo"): ("cargo pockets", "side pockets"),
    ("strap", "crossed"): ("crossed straps",),
    ("strap", "handles"): ("handles",),
    ("strap", "shoulder"): ("shoulder strap",),
    ("strap", "chain"): ("chain",),
    ("brim", "peaked"): ("peak", "visor"),
    ("trim", "band"): ("band", "ribbon"),
}

# Words that allow several values, independent of the reference: "with sleeves", "patterned".
COVERING: dict[tuple[str, frozenset[str]], Words] = {
    ("sleeve", frozenset({"short", "elbow", "long"})): _words("", "sleeves"),
    ("heel", frozenset({"low", "high"})): _words("heeled", "a heel, heels"),
    ("brim", frozenset({"narrow", "wide"})): _words("brimmed", "a brim all around"),
}
PATTERNED = _words("patterned", "a pattern, some pattern")

# Words for less and for more of an ordered attribute than the reference has.
_COMPARED: dict[str, tuple[Words, Words]] = {
    "shade": (
        _words("lighter, paler, lighter coloured"),
        _words("darker, deeper, darker coloured"),
    ),
    "sleeve": (
        _words("shorter sleeved", "shorter sleeves, less sleeve"),
        _words("longer sleeved", "longer sleeves, more sleeve"),
    ),
    "length": (_words("shorter", "a shorter cut"), _words("longer", "a longer cut")),
    "fit": (
        _words("tighter, slimmer, more fitted, closer fitting", "a tighter fit, a slimmer fit"),
        _words("looser, baggier, roomier, less fitted", "a looser fit, a more relaxed fit"),
    ),
    "heel": (
        _words("flatter, lower heeled", "a lower heel, lower heels, less heel"),
        _words("higher heeled", "a higher heel, higher heels, more heel"),
    ),
    "sole": (
        _words("less chunky, thinner soled", "a thinner sole, a slimmer sole"),
        _words("chunkier, thicker soled", "a thicker sole, a chunkier sole"),
    ),
    "busyness": (
        _words(
            "less busy, simpler, plainer", "a simpler pattern, less of a pattern, a calmer look"
        ),
        _words("busier, bolder, less plain", "a busier pattern, a bolder pattern, more pattern"),
    ),
}
_COMPARED_SPECIAL: dict[tuple[str, str], tuple[Words, Words]] = {
    ("boots", "length"): (
        _words("shorter, lower cut", "a shorter shaft"),
        _words("taller, longer", "a taller shaft, a longer shaft"),
    ),
    ("trainers", "length"): (
        _words("lower cut, lower", "a lower cut"),
        _words("higher cut", "a higher cut, a higher ankle"),
    ),
    ("trousers", "length"): (_words("shorter", "shorter legs"), _words("longer", "longer legs")),
    ("shorts", "length"): (_words("shorter", "shorter legs"), _words("longer", "longer legs")),
    ("dress", "length"): (
        _words("shorter", "a shorter hem, a higher hemline"),
        _words("longer", "a longer hem, a lower hemline"),
    ),
    ("skirt", "length"): (
        _words("shorter", "a shorter hem, a higher hemline"),
        _words("longer", "a longer hem, a lower hemline"),
    ),
}

ATTRIBUTE_NAMES: dict[str, tuple[str, ...]] = {
    "colour": ("colour", "color"),
    "pattern": ("pattern", "print"),
    "neckline": ("neckline", "neck"),
    "length": ("length",),
    "sleeve": ("sleeve length",),
    "shape": ("shape",),
    "toe": ("toe shape",),
    "fastening": ("fastening", "closure"),
    "strap": ("strap",),
    "fit": ("fit",),
    "hem": ("hem",),
}


@cache
def words_for(category: str, attribute: str, value: str) -> Words:
    """Return the words for a value of an attribute, such as "belted" and "a belt".

    The attribute is any except the main color and the second color.
    """
    special = _SPECIAL.get((category, attribute, value))
    return special or _GENERAL[attribute, value]


@cache
def compared(category: str, attribute: str) -> tuple[Words, Words]:
    """Return the words for less and those for more of an attribute, such as "shorter" and "longer".

    `attribute` is an attribute whose values have an order, or "busyness" (of a pattern).
    """
    return _COMPARED_SPECIAL.get((category, attribute)) or _COMPARED[attribute]


@cache
def scale(category: str, attribute: str) -> tuple[str, ...]:
    """Return the values of an attribute in a category from least to most.

    The result is empty if the values have no order or the category lacks the attribute.
    """
    values = attributes_of(category).get(attribute, ())
    return tuple(value for value in ORDERED.get(attribute, ()) if value in values)


@cache
def meant_by_denial(category: str, attribute: str, value: str) -> frozenset[str]:
    """Return the values of an attribute that remain allowed if a text denies `value`.

    "No stripes" also denies pinstripes, and "no pinstripes" also denies stripes.
    """
    gone = {value}
    if attribute == "pattern" and value in ("striped", "pinstriped"):
        gone = {"striped", "pinstriped"}
    return frozenset(attributes_of(category)[attribute]) - gone


@cache
def values_of(category: str, attribute: str) -> frozenset[str]:
    """Return the values that an attribute of a category can have."""
    return frozenset(attributes_of(category)[attribute])
