"""Random queries for a gallery of drawn garments, with all gallery images that fit each query.

There are two kinds of queries. A benchmark's query (`queries`) changes one or many attributes, and
at least one image of the gallery fits. A wish (`wishes`) changes a single attribute, as users often
do; it is possible that no image fits.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dwc.catalogue.language.modifications import (
    Modification,
    constraints,
    draw_modification,
    draw_wish,
    picture_only,
    picture_share,
)
from dwc.catalogue.language.vocabulary import SHOES
from dwc.catalogue.schema import (
    CATEGORIES,
    COMMON,
    UNSHADED,
    EncodedGarments,
    Garment,
    attributes_of,
    sample_value,
)
from dwc.catalogue.splits import CatalogueItem, consistent
from dwc.datasets.triplets import Benchmark, RetrievalQuery

# The number of successive used pairs after which the gallery is assumed to have no new pairs.
_REPEATS = 200

# How often a wish is about each attribute, in thousandths. The frequencies are those of the
# attributes' keywords in the 48,032 captions of FashionIQ (training and validation) and the 10,751
# captions of Shoes. These values were set by hand: the second color; attributes that are not in the
# tables (`_RARELY`); and a new category of clothes, whose value is that of shoes.
_NAMED_OF_CLOTHES = {
    "colour": 386, "sleeve": 181, "pattern": 177, "shade": 99, "length": 56, "neckline": 35,
    "fit": 32, "second_colour": 20, "fastening": 18, "waist": 11, "pockets": 4, "category": 51,
}  # fmt: skip
_NAMED_OF_SHOES = {
    "colour": 409, "heel": 105, "toe": 80, "pattern": 77, "strap": 71, "sole": 66, "fastening": 57,
    "category": 51, "shade": 44, "length": 40, "second_colour": 20,
}  # fmt: skip
_RARELY = 10
_WISH_TRIES = 10_000  # random values tried for one wish before the gallery is reported as too small

Values = Mapping[str, Mapping[str, frozenset[str]]]
"""Maps each category to its attributes, and each attribute to a set of values."""


@dataclass(frozen=True)
class CatalogueQuery:
    """A query, the gallery images that fit it, and the attributes that text and image determine.

    Attributes:
        reference: Id of the reference image.
        captions: One or two modification texts, which apply together.
        target: Id of the target image.
        hits: Ids of all gallery images that fit the query. The target is one of them; the reference
            never is.
        stated: Attributes that the text alone determines. "category" is either here or in
            `picture_only`.
        relative: Attributes that the text and the reference image determine together ("longer").
        picture_only: Attributes that the reference image alone determines.
        free: Attributes that may have any value.
        picture_share: The true image weight, 0 to 1: the fraction of the constrained attributes
            that the reference image determines; see `modifications.picture_share`.
    """

    reference: str
    captions: tuple[str, ...]
    target: str
    hits: frozenset[str]
    stated: frozenset[str]
    relative: frozenset[str]
    picture_only: frozenset[str]
    free: frozenset[str]
    picture_share: float


def queries(
    items: Sequence[CatalogueItem], count: int, seed: int, negation_share: float = 0.0
) -> list[CatalogueQuery]:
    """Sample random queries for a gallery; no two have both the same reference and target.

    Args:
        items: The gallery.
        count: The number of queries.
        seed: The seed of the random choice of garments and words.
        negation_share: Share (0 to 1) of queries whose text excludes something ("no stripes"); see
            `draw_modification`. With 0, the queries are those of the published benchmark.

    Raises:
        ValueError: The gallery is too small for this number of queries.
    """
    rng = random.Random(f"queries|{seed}")
    pool = EncodedGarments([item.garment for item in items])
    drawn: dict[tuple[int, int], CatalogueQuery] = {}
    repeats = 0
    while len(drawn) < count:
        pair = pool.draw_pair(rng)
        if pair in drawn:
            repeats += 1
            if repeats == _REPEATS:
                raise ValueError(
                    f"{len(items)} items gave {len(drawn)} different queries of {count} wanted; "
                    "take a larger gallery or ask fewer"
                )
            continue
        repeats = 0
        drawn[pair] = _query(items, pool, pair, rng, negation_share)
    return list(drawn.values())


def _query(
    items: Sequence[CatalogueItem],
    pool: EncodedGarments,
    pair: tuple[int, int],
    rng: random.Random,
    negation_share: float,
) -> CatalogueQuery:
    reference, target = (items[index] for index in pair)
    modification = draw_modification(reference.garment, target.garment, rng, negation_share)
    return CatalogueQuery(
        reference=reference.id,
        captions=modification.captions,
        target=target.id,
        hits=_find_hits(items, pool, pair[0], modification),
        stated=modification.stated
        | ({"category"} if modification.changes_category(reference.garment) else set()),
        relative=modification.relative,
        picture_only=picture_only(reference.garment, modification),
        free=modification.free,
        picture_share=picture_share(reference.garment, modification),
    )


def _find_hits(
    items: Sequence[CatalogueItem],
    pool: EncodedGarments,
    reference: int,
    modification: Modification,
) -> frozenset[str]:
    """Return the ids of all images that fit a modification, except the reference.

    Args:
        items: The gallery.
        pool: The garments of the gallery, encoded.
        reference: Index of the reference in `items`.
        modification: The modification of the reference.
    """
    garment = items[reference].garment
    limits = constraints(garment, modification)
    indices = [
        index
        for category in sorted(modification.allowed_categories(garment))
        for index in pool.matching(category, limits)
    ]
    return frozenset(items[index].id for index in indices) - {items[reference].id}


def benchmark(
    items: Sequence[CatalogueItem],
    drawn: Sequence[CatalogueQuery],
    protocol: str = "catalogue-test",
) -> Benchmark:
    """Return the gallery `items` and its queries `drawn` as a `Benchmark` with the name `protocol`.

    When the images are ranked for a query, the query's reference is left out.
    """
    return Benchmark(
        protocol=protocol,
        gallery=tuple(item.id for item in items),
        queries=tuple(
            RetrievalQuery(query.reference, query.captions, query.hits, query.picture_share)
            for query in drawn
        ),
        reference_removed=True,
    )


@dataclass(frozen=True)
class Wish:
    """A text that asks for one change of a garment, and the gallery images that fit.

    Attributes:
        reference: Id of the reference image, which shows the garment to change.
        attribute: The attribute that the text changes, or "category".
        text: The text.
        hits: Ids of all gallery images whose garment differs from the reference as the text asks;
            empty if there is none.
        picture_share: The true image weight, 0 to 1: the fraction of the constrained attributes
            that the reference image determines, not the text.
    """

    reference: str
    attribute: str
    text: str
    hits: frozenset[str]
    picture_share: float


def wishes(items: Sequence[CatalogueItem], count: int, seed: int, are_offered: bool) -> list[Wish]:
    """Return random wishes: texts that ask for one change of a garment in the gallery.

    Examples: "in blue", "longer", "without stripes". The reference of each wish is a random garment
    of the gallery. The attribute to change is random; attributes that captions of FashionIQ and
    Shoes often mention are more likely. Then a value that the reference does not have is drawn.
    Many texts allow several values ("longer", "no stripes").

    Args:
        items: The gallery.
        count: The number of wishes.
        seed: The seed of the random choices.
        are_offered: If True, wishes ask only for values that some garment of the same category in
            the gallery has, and only for categories in the gallery. If False, they ask for any
            value that the category can have, and for any category.

    Raises:
        ValueError: The gallery has no such wishes, for example, because its garments are all equal.
    """
    rng = random.Random(f"wishes|{seed}")
    garments = [item.garment for item in items]
    pool = EncodedGarments(garments)
    values = _values_of(garments) if are_offered else _all_values()
    drawn = []
    for _ in range(count):
        index = rng.randrange(len(items))
        reference = garments[index]
        attribute, target = _draw_change(rng, reference, values)
        modification = draw_wish(reference, target, attribute, rng)
        drawn.append(
            Wish(
                reference=items[index].id,
                attribute=attribute,
                text=modification.captions[0],
                hits=_find_hits(items, pool, index, modification),
                picture_share=picture_share(reference, modification),
            )
        )
    return drawn


def _all_values() -> Values:
    return {
        category: {name: frozenset(values) for name, values in attributes_of(category).items()}
        for category in CATEGORIES
    }


def _values_of(garments: Sequence[Garment]) -> Values:
    """Return the values that the attributes of each category have in a gallery.

    Black and white garments always have the shade "mid", so their shades are ignored.

    Returns:
        A dict from each category in the gallery to the values of each attribute.
    """
    present: dict[str, dict[str, set[str]]] = {}
    for garment in garments:
        of_category = present.setdefault(garment.category, {})
        for name, value in garment.attributes.items():
            known = of_category.setdefault(name, set())
            if name != "shade" or garment["colour"] not in UNSHADED:
                known.add(value)
    return {
        category: {name: frozenset(values) for name, values in attributes.items()}
        for category, attributes in present.items()
    }


def _draw_change(rng: random.Random, reference: Garment, values: Values) -> tuple[str, Garment]:
    """Return a random change of one attribute, or of the category, of a garment.

    Args:
        rng: The random generator.
        reference: The garment to change.
        values: The permitted values. Each value of the changed garment is either permitted or the
            reference's value, with two exceptions that `_has_values` describes.

    Returns:
        The changed attribute, or "category"; and the changed garment.

    Raises:
        ValueError: The permitted values allow no change, or no random change was suitable.
    """
    named = _NAMED_OF_SHOES if reference.category in SHOES else _NAMED_OF_CLOTHES
    own = values[reference.category]
    can_change = [name for name, known in own.items() if _can_change(reference, name, known)]
    if len(values) > 1:
        can_change.append("category")
    if can_change:
        attribute = rng.choices(can_change, [named.get(name, _RARELY) for name in can_change])[0]
        for _ in range(_WISH_TRIES):
            target = _draw_target(rng, reference, attribute, values)
            if _differs(target, reference, attribute) and _has_values(target, reference, values):
                return attribute, target
    raise ValueError(f"found no wish from {reference}; take a larger gallery")


def _differs(target: Garment, reference: Garment, attribute: str) -> bool:
    if attribute == "category":
        return target.category != reference.category
    return target[attribute] != reference[attribute]


def _can_change(reference: Garment, attribute: str, known: frozenset[str]) -> bool:
    """Return whether an attribute of the reference can change to another value in `known`.

    For example, the second color of a plain garment cannot change.
    """
    if attribute == "second_colour":
        if reference["pattern"] == "plain":
            return False
        known -= {"none", reference["colour"]}
    if attribute == "shade" and reference["colour"] in UNSHADED:
        return False
    return not known <= {reference[attribute]}


def _has_values(target: Garment, reference: Garment, values: Values) -> bool:
    """Return whether each value of the target is permitted or is the reference's value.

    The shade of a black or white target is ignored, because it is always "mid". The second color is
    ignored if the only permitted ones are "none" and the target's main color, because a patterned
    garment can have neither.

    Args:
        target: The garment to check.
        reference: The garment that the target was made from.
        values: The permitted values.
    """
    known = values[target.category]
    ignored = {"shade"} if target["colour"] in UNSHADED else set()
    if not known["second_colour"] - {"none", target["colour"]}:
        ignored.add("second_colour")
    return all(
        value in known[name] or value == reference.get(name)
        for name, value in target.attributes.items()
        if name not in ignored
    )


def _draw_target(rng: random.Random, reference: Garment, attribute: str, values: Values) -> Garment:
    """Return a variation of the reference with a random value of one attribute.

    The random value may be the one that the reference has.

    If `attribute` is "category", the target has another, random category. The target keeps the
    color, shade, pattern and second color of the reference, unless the new category does not allow
    them. Its other values are chosen at random from the permitted `values`.
    """
    if attribute != "category":
        category = reference.category
        value = sample_value(rng, category, attribute)
        return consistent(rng, category, {**reference.attributes, attribute: value})
    category = rng.choice(sorted(values.keys() - {reference.category}))
    own = [name for name in attributes_of(category) if name not in COMMON]
    drawn = {name: rng.choice(sorted(values[category][name])) for name in own}
    look = {name: reference[name] for name in COMMON}
    if reference["pattern"] not in attributes_of(category)["pattern"]:
        look["pattern"] = rng.choice(sorted(values[category]["pattern"]))
    return consistent(rng, category, {**drawn, **look})
