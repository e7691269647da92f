"""Exclusions are followed in the default gallery: with words alone, and details with a picture."""

from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from dwc.catalogue.drawing.draw import draw
from dwc.catalogue.splits import CatalogueItem, catalogue_items
from dwc.checkpoints.load import BUNDLED_FOLDER, GALLERY_VECTORS, Checkpoint, load
from dwc.gallery.builder import load_precomputed
from dwc.search.query import compose_texts, encode_query
from dwc.search.query_batching import QueryComposer

FIRST = 12
COLORS = ("red", "black", "white", "blue", "green", "pink", "yellow", "brown")
COLOR_PHRASES = (
    "not {}", "no {}", "without any {}", "never {}", "anything but {}", "any color but {}",
    "instead of {}", "minus the {}", "lose the {}", "avoid {}", "non-{}", "must not be {}",
)  # fmt: skip
PATTERNS = {
    "stripes": "striped", "striped": "striped", "checks": "checked", "checked": "checked",
    "flowers": "floral", "dots": "dotted",
}  # fmt: skip
PATTERN_PHRASES = (
    "no {}", "without any {}", "never {}", "anything but {}", "minus the {}", "lose the {}",
    "remove the {}", "excluding {}", "not {}",
)  # fmt: skip


class _Gallery(NamedTuple):
    checkpoint: Checkpoint
    items: list[CatalogueItem]  # the drawn garments
    vectors: NDArray[np.float32]  # (N, D)
    composer: QueryComposer

    def first(self, composed, left_out=()):
        """Return the first garments for each query, without those at some positions."""
        scores = composed.embedding.numpy() @ self.vectors.T
        scores[:, list(left_out)] = -np.inf
        ranking = np.argsort(-scores, axis=1)[:, :FIRST]
        return [[self.items[at].garment for at in row] for row in ranking]


@pytest.fixture(scope="module")
def gallery():
    """Return the default gallery with the bundled model."""
    checkpoint = load(str(BUNDLED_FOLDER))
    saved = load_precomputed(BUNDLED_FOLDER / GALLERY_VECTORS, checkpoint.fingerprint)
    vectors = np.stack([item.vector for item in saved.values()]).astype(np.float32)
    items = {item.id: item for item in catalogue_items("families", len(saved))}
    shown = [items[item.row.id] for item in saved.values()]
    return _Gallery(checkpoint, shown, vectors, QueryComposer(checkpoint.model))


@pytest.fixture(scope="module")
def first_garments(gallery):
    """Return a function that finds the first garments of the default gallery for some texts."""

    def find(texts):
        return gallery.first(compose_texts(gallery.checkpoint, None, texts, gallery.composer))

    return find


@pytest.mark.parametrize("phrase", COLOR_PHRASES)
def test_a_color_is_excluded_in_the_ways_people_say_it(phrase, first_garments):
    """350f231: all 12 of "no red" were red. Before it was rephrased, 11 of "never red"."""
    found = first_garments([phrase.format(color) for color in COLORS])
    counts = {
        color: sum(garment["colour"] == color for garment in garments)
        for color, garments in zip(COLORS, found, strict=True)
    }
    assert max(counts.values()) <= 1, counts


@pytest.mark.parametrize("phrase", PATTERN_PHRASES)
def test_a_pattern_is_excluded_in_the_ways_people_say_it(phrase, first_garments):
    """350f231: 10 of "without any stripes" were striped, and 7 of "not striped"."""
    found = first_garments([phrase.format(name) for name in PATTERNS])
    counts = {
        name: sum(garment["pattern"] == PATTERNS[name] for garment in garments)
        for name, garments in zip(PATTERNS, found, strict=True)
    }
    assert max(counts.values()) <= 1, counts


@pytest.mark.parametrize(
    "phrase",
    ["dress without {}", "skirt, no {}", "hat ({} not wanted)", "I do not like {}, trousers"],
)
def test_a_pattern_is_excluded_of_a_kind_of_garment(phrase, first_garments):
    """Up to 12 of "dress without stripes" were striped, and no note said so."""
    garments = first_garments([phrase.format("stripes"), phrase.format("flowers")])
    for pattern, shown in zip(("striped", "floral"), garments, strict=True):
        assert sum(garment["pattern"] == pattern for garment in shown) <= 1


def test_of_two_colors_the_wanted_one_is_found(first_garments):
    texts = ["blue instead of red", "not red but blue", "from red to blue", "red dress to blue"]
    for garments in first_garments(texts):
        assert sum(garment["colour"] == "blue" for garment in garments) >= 11


@pytest.mark.parametrize("phrase", ["nothing but {}", "no color other than {}"])
def test_the_only_color_is_found(phrase, first_garments):
    """2 of 12 photographs were red for "nothing but red", and no note said so."""
    for color, garments in zip(
        COLORS, first_garments([phrase.format(c) for c in COLORS]), strict=True
    ):
        assert sum(garment["colour"] == color for garment in garments) >= 10, color


@pytest.mark.parametrize(
    ("text", "lengths"),
    [("no long sleeves", {"short", "sleeveless", "none"}), ("no short sleeves", {"long", "elbow"})],
)
def test_sleeves_that_are_not_wanted_are_not_found(text, lengths, first_garments):
    [garments] = first_garments([f"shirt, {text}"])
    assert sum(garment["sleeve"] in lengths for garment in garments) >= 10


@pytest.mark.parametrize(
    ("phrase", "kind"), [("dress but not {}", "dress"), ("a shirt, never {}", "shirt")]
)
def test_a_color_is_excluded_of_a_kind_of_garment(phrase, kind, first_garments):
    """4 of 12 photographs of "dress but not red" were red dresses."""
    texts = [phrase.format(color) for color in COLORS]
    for color, garments in zip(COLORS, first_garments(texts), strict=True):
        assert sum(garment["colour"] == color for garment in garments) <= 1, color
        assert sum(garment.category == kind for garment in garments) >= 8, color


@pytest.mark.parametrize("phrase", ["not a {}", "anything but a {}", "red, but not a {}"])
def test_a_kind_of_garment_is_excluded(phrase, first_garments):
    """12 of 12 photographs of "not a t-shirt" were T-shirts."""
    kinds = ("dress", "skirt", "jacket", "hat", "bag")
    texts = [phrase.format(kind) for kind in kinds]
    for kind, garments in zip(kinds, first_garments(texts), strict=True):
        assert sum(garment.category == kind for garment in garments) <= 1, kind


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "attribute", "value"),
    [
        ("without wide brim", "brim", "wide"),
        ("without peak", "brim", "peaked"),
        ("no long sleeves", "sleeve", "long"),
        ("not sleeveless", "sleeve", "sleeveless"),
        ("without boxy shape", "shape", "boxy"),
        ("remove the tote shape", "shape", "tote"),
        ("without maxi length", "length", "long"),
    ],
)
def test_a_detail_of_the_picture_is_excluded(text, attribute, value, gallery):
    """Of the first 12 for a hat's picture and "without wide brim", 6.8 had one, and no note."""
    noun = "skirt" if attribute == "length" else None
    having = [
        at
        for at, item in enumerate(gallery.items)
        if item.garment.attributes.get(attribute) == value and noun in (None, item.garment.category)
    ]
    counts, same = [], []
    for at in having[:: max(1, len(having) // 4)][:4]:
        item = gallery.items[at]
        template = gallery.checkpoint.model.config.caption_template
        read = gallery.checkpoint.processor.read_typed(text, template)
        encoding = encode_query(
            gallery.checkpoint,
            draw(item.garment, item.picture_seed),
            read.text,
            gallery.composer,
            read.excluded,
        )
        [garments] = gallery.first(encoding.composed, [at])
        counts.append(sum(garment.attributes.get(attribute) == value for garment in garments))
        same.append(sum(garment.category == item.garment.category for garment in garments))
    assert np.mean(counts) <= 1, counts
    assert np.mean(same) >= 2, same  # of the picture's kind; 5 to 12 for most details


@pytest.mark.parametrize(
    ("wanted", "other"),
    [
        ("skirt", "dress"), ("dress", "skirt"), ("shorts", "trousers"), ("boots", "trainers"),
        ("hat", "bag"), ("shirt", "jumper"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("phrase", ["{}, not a {}", "{}, anything but {}", "{} instead of a {}"])
def test_the_wanted_kind_is_found_beside_an_excluded_one(phrase, wanted, other, first_garments):
    """0 of 12 photographs for "shoes, no heels" and 6 other such wishes were what was wanted."""
    [garments] = first_garments([phrase.format(wanted, other)])
    kinds = [garment.category for garment in garments]
    assert kinds.count(wanted) >= 8, kinds
    assert kinds.count(other) <= 1, kinds


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shown", "wished", "text"),
    [
        ("dress", "skirt", "as a skirt"),
        ("trousers", "shorts", "shorts instead"),
        ("t_shirt", "dress", "a dress like this"),
        ("trainers", "boots", "turn it into boots"),
        ("hoodie", "t_shirt", "the same but as a t-shirt"),
        ("bag", "hat", "make it a hat"),
    ],
)
def test_another_kind_than_the_pictures_is_found(shown, wished, text, gallery):
    """Over such changes of kind, 4.8 of the first 12 drawings were of the wished kind."""
    rows = [at for at, item in enumerate(gallery.items) if item.garment.category == shown]
    kinds = []
    for at in rows[:: max(1, len(rows) // 4)][:4]:
        item = gallery.items[at]
        picture = draw(item.garment, item.picture_seed)
        encoding = encode_query(gallery.checkpoint, picture, text, gallery.composer)
        [garments] = gallery.first(encoding.composed, [at])
        kinds += [garment.category for garment in garments]
    assert kinds.count(wished) >= 0.6 * len(kinds), kinds


@pytest.mark.slow
def test_the_pictures_own_kind_is_no_change(gallery):
    rows = [at for at, item in enumerate(gallery.items) if item.garment.category == "dress"]
    pictures = [draw(gallery.items[at].garment, gallery.items[at].picture_seed) for at in rows[:6]]

    def change(text, picture):
        return encode_query(gallery.checkpoint, picture, text, gallery.composer).change_of_kind

    assert [change("a red dress like this", picture) for picture in pictures].count(None) >= 5
    assert change("as a skirt", None) is None
    assert change("as a skirt, not a dress", pictures[0]) is None  # the words exclude the kind
    assert change("longer", pictures[0]) is None


@pytest.mark.parametrize(
    ("text", "passes"), [("in red", 1), ("not red", 3), ("no hood", 4), ("as a hat", 3)]
)
def test_an_exclusion_takes_few_passes_of_the_model(text, passes, gallery):
    """One for the query, one for all names, one for the picture, one for names with the kind."""
    item = gallery.items[0]
    calls = []

    def compose(inputs):
        calls.append(inputs)
        return gallery.composer(inputs)

    picture = draw(item.garment, item.picture_seed)
    encode_query(gallery.checkpoint, picture, text, compose)
    assert len(calls) == passes


@pytest.mark.slow
@pytest.mark.parametrize("excluded", ["not white", "not red", "no belt", "without a hood"])
@pytest.mark.parametrize(
    ("wanted", "pattern"), [("in stripes", "striped"), ("with checks", "checked")]
)
def test_what_is_wanted_is_found_beside_an_exclusion(wanted, pattern, excluded, gallery):
    """Of the first 12 for a picture and "with checks, not white", 2 were checked instead of 5."""

    def count(text):
        """Return how many of the first results have the pattern, over six pictures without it."""
        found = 0
        for at in others[:: len(others) // 6][:6]:
            item = gallery.items[at]
            picture = draw(item.garment, item.picture_seed)
            encoding = encode_query(gallery.checkpoint, picture, text, gallery.composer)
            [garments] = gallery.first(encoding.composed, [at])
            found += sum(garment["pattern"] == pattern for garment in garments)
        return found

    others = [at for at, item in enumerate(gallery.items) if item.garment["pattern"] != pattern]
    alone = count(wanted)
    assert alone >= 12
    assert count(f"{wanted}, {excluded}") >= 0.7 * alone
