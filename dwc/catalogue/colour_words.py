"""What people call a colour: names that leave the shade open, and names that fix it."""

from dwc.catalogue.schema import COLOURS, UNSHADED

# A bare name says the colour and leaves the shade open: a blue coat may be navy.
BARE: dict[str, tuple[str, ...]] = {
    **{colour: (colour,) for colour in COLOURS},
    "grey": ("grey", "gray"),
    "purple": ("purple", "purple", "violet"),
    "black": ("black", "black", "jet black"),
    "white": ("white", "white", "pure white"),
}

# A name of its own for one shade of a colour: navy is dark blue and nothing else.
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


def shaded_names(colour: str, shade: str) -> tuple[str, ...]:
    """Names that fix colour and shade together: `dark blue`, `navy`; for black and white, bare."""
    if colour in UNSHADED:
        return BARE[colour]
    described = tuple(f"{word} {name}" for word in SHADE_WORDS[shade] for name in BARE[colour][:2])
    return described + NAMED[colour, shade]
