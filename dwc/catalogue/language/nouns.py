"""Nouns for garments: `a tee`, `trousers`, `a cardigan`, `footwear`.

Some nouns also specify attributes: a cardigan is a jumper with buttons. Such a noun is used only
for garments with the specified values, and the specified attributes count as stated by the text.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dwc.catalogue.schema import Garment


@dataclass(frozen=True)
class Noun:
    """A noun for a garment, with the attribute values that the noun implies.

    Attributes:
        text: The noun, without an article.
        says: Maps each attribute that the noun specifies to its allowed values: a "gown" is long.
    """

    text: str
    says: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def suits(self, garment: Garment) -> bool:
        """Return whether the garment has the values that the noun specifies."""
        return all(garment.get(name) in values for name, values in self.says.items())


def _noun(text: str, **says: str) -> Noun:
    """Return a noun; in `says`, the allowed values of an attribute are separated by spaces."""
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
    """Return the nouns of a category that specify no attributes."""
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
