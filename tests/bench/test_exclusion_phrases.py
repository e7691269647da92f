"""How many of the first results for photographs have what the words exclude, in many phrases."""

import csv
import os
import random
import statistics
from pathlib import Path

import pytest
from PIL import Image

from dwc.catalogue.language.exclusions import FORMS
from dwc.catalogue.language.vocabulary import with_article
from dwc.checkpoints import load
from dwc.gallery.builder import build_store
from dwc.gallery.sources import FolderSource
from dwc.search.image_embedding import image_embedder, model_identity
from dwc.search.searcher import Searcher

pytestmark = pytest.mark.bench

FIRST = 12
REFERENCES = 2  # photographs that have the excluded value, for each value
MORE_FORMS = {
    "colour": ("never {x}", "never in {x}", "avoid {x}", "no more {x}", "doesn't have {x}"),
    "thing": ("never {x}", "never any {x}"),
}
VALUES = {
    "colour": {
        color: ("colour", color)
        for color in ("red", "black", "white", "blue", "green", "pink", "brown")
    },
    "thing": {
        "stripes": ("pattern", "striped"),
        "flowers": ("pattern", "floral"),
        "checks": ("pattern", "checked"),
        "print": ("pattern", "graphic"),
        "logo": ("pattern", "graphic"),
        "hood": ("neckline", "hood"),
        "buttons": ("fastening", "buttons"),
        "zip": ("fastening", "zip"),
    },
}


@pytest.fixture(scope="module")
def rows():
    folder = os.environ.get("DWC_TEST_DATA")
    if not folder or not (Path(folder) / "wardrobe").is_dir():
        pytest.skip("needs DWC_TEST_DATA with the wardrobe's photographs")
    with (Path(folder) / "wardrobe" / "attributes.csv").open(encoding="utf-8") as file:
        return {row["file"]: row for row in csv.DictReader(file) if row["split"] == "eval"}


@pytest.fixture(scope="module")
def gallery(rows, tmp_path_factory):
    photos = Path(os.environ["DWC_TEST_DATA"]) / "wardrobe" / "photos"
    folder = tmp_path_factory.mktemp("eval")
    for name in rows:
        (folder / name).symlink_to(photos / name)
    return folder


@pytest.fixture(scope="module")
def searcher(gallery, tmp_path_factory):
    checkpoint = load.load()
    store = build_store(
        FolderSource(gallery),
        image_embedder(checkpoint),
        tmp_path_factory.mktemp("stores") / "eval",
        model_identity(checkpoint),
    )
    return Searcher(checkpoint, store)


@pytest.mark.parametrize("kind", VALUES)
def test_exclusions_are_followed_better_in_other_words(kind, rows, gallery, searcher):
    rng = random.Random(5)
    references = {
        name: [
            Image.open(gallery / file)
            for file in rng.sample(
                [file for file, row in rows.items() if row[column] == value], REFERENCES
            )
        ]
        for name, (column, value) in VALUES[kind].items()
    }
    counts = {}
    for is_rephrased in (False, True):
        searcher.checkpoint.processor.rephrase_exclusions = is_rephrased
        for form in dict.fromkeys([*FORMS[kind], *MORE_FORMS[kind]]):
            alone, composed = [], []
            for name, (column, value) in VALUES[kind].items():
                text = form.format(x=name, a=with_article(name) if "{a}" in form else "")
                for image in (None, *references[name]):
                    hits = searcher.search(image=image, text=text, k=FIRST).hits
                    found = sum(rows[Path(hit.id).name][column] == value for hit in hits)
                    (alone if image is None else composed).append(found)
            counts[form, is_rephrased] = statistics.mean(alone), statistics.mean(composed)
    forms = [form for form, is_rephrased in counts if is_rephrased]
    print(f"\nof the first {FIRST}, with an excluded {kind}: words alone, with a picture")
    for form in forms:
        before, after = counts[form, False], counts[form, True]
        print(f"{form:24} {before[0]:5.2f} -> {after[0]:5.2f} {before[1]:9.2f} -> {after[1]:5.2f}")
    means = [
        [statistics.mean(counts[form, is_rephrased][at] for form in forms) for at in (0, 1)]
        for is_rephrased in (False, True)
    ]
    (alone, composed), (alone_rephrased, composed_rephrased) = means
    print(
        f"{'mean':24} {alone:5.2f} -> {alone_rephrased:5.2f} "
        f"{composed:9.2f} -> {composed_rephrased:5.2f}"
    )
    assert alone_rephrased <= alone / 2
    assert composed_rephrased <= composed


# Wishes with an exclusion: what is wanted, and what is excluded.
PARTS_OF_KINDS = [
    (("category", kind), ("neckline" if part in ("hood", "collar") else "fastening", part))
    for kind, parts in {
        "jacket": ("hood", "zip", "buttons"),
        "coat": ("hood", "buttons"),
        "hoodie": ("zip",),
        "jumper": ("buttons",),
        "skirt": ("buttons",),
        "dress": ("collar", "buttons"),
        "blouse": ("collar", "buttons"),
    }.items()
    for part in parts
]
VALUES_BESIDE_KINDS = {
    "sleeveless": (("sleeve", "sleeveless"), "dress"),
    "striped": (("pattern", "striped"), "t_shirt"),
    "floral": (("pattern", "floral"), "dress"),
    "checked": (("pattern", "checked"), "shirt"),
    "with long sleeves": (("sleeve", "long"), "jacket"),
    "in red": (("colour", "red"), "dress"),
    "in blue": (("colour", "blue"), "jeans"),
    "in pink": (("colour", "pink"), "t_shirt"),
}


def test_what_is_wanted_beside_an_exclusion_is_found(rows, searcher):
    wishes = {
        "part of a kind": [
            (text, wanted, excluded)
            for wanted, excluded in PARTS_OF_KINDS
            for form in ("{} without {}", "{}, no {}", "{} with no {}")
            for text in [form.format(wanted[1], excluded[1])]
        ],
        "kind beside a value": [
            (f"{words}, not {with_article(kind.replace('_', '-'))}", wanted, ("category", kind))
            for words, (wanted, kind) in VALUES_BESIDE_KINDS.items()
        ],
    }
    for name, texts in wishes.items():
        fitting, left = [], []
        for text, (column, value), (excluded_column, excluded) in texts:
            found = [rows[Path(hit.id).name] for hit in searcher.search(text=text, k=FIRST).hits]
            out = [row for row in found if row[excluded_column] == excluded]
            left.append(len(out))
            fitting.append(sum(row[column] == value for row in found if row not in out))
        means = statistics.mean(fitting), statistics.mean(left)
        print(f"\nexcluded {name}: {means[0]:.2f} fit, {means[1]:.2f} have what is excluded")
        assert means[0] >= FIRST / 3
        assert means[1] <= FIRST / 4


# Categories of photographs -> words for another kind of garment, and its categories.
CHANGES_OF_KIND = [
    (("dress",), "a skirt", ("skirt",)),
    (("dress",), "shorts", ("shorts",)),
    (("dress",), "a blouse", ("blouse",)),
    (("jeans", "trousers"), "a skirt", ("skirt",)),
    (("jeans", "trousers"), "shorts", ("shorts",)),
    (("t_shirt",), "a dress", ("dress",)),
    (("t_shirt",), "a hoodie", ("hoodie",)),
    (("t_shirt",), "a jumper", ("jumper", "sweatshirt")),
    (("shirt",), "a dress", ("dress",)),
    (("hoodie",), "a t-shirt", ("t_shirt",)),
    (("jumper",), "a jacket", ("jacket", "coat", "blazer")),
    (("skirt",), "trousers", ("trousers", "jeans", "leggings")),
    (("trainers",), "boots", ("boots",)),
    (("heels",), "boots", ("boots",)),
]


def test_changes_of_kind_are_followed(rows, gallery, searcher, monkeypatch):
    rng = random.Random(3)
    queries = []
    for shown, words, wished in CHANGES_OF_KIND:
        files = [file for file, row in rows.items() if row["category"] in shown]
        queries += [
            (rng.choice(files), form.format(words), wished)
            for form in ("as {}", "the same but as {}", "{} like this", "{} instead")
        ]

    def count():
        """Return the means over the queries: of the kind; of it and of the picture's color."""
        of_kind, also_of_color = [], []
        for file, text, wished in queries:
            hits = searcher.search(image=Image.open(gallery / file), text=text, k=FIRST).hits
            found = [rows[Path(hit.id).name] for hit in hits]
            fits = [row for row in found if row["category"] in wished]
            of_kind.append(len(fits))
            also_of_color.append(sum(row["colour"] == rows[file]["colour"] for row in fits))
        return statistics.mean(of_kind), statistics.mean(also_of_color)

    after = count()
    monkeypatch.setattr("dwc.search.exclusion_encoding.find_wished_kind", lambda text: None)
    before = count()
    for name, numbers in (("before", before), ("with the change", after)):
        print(
            f"\nother kind, {name}: {numbers[0]:.2f} are of it, {numbers[1]:.2f} of the same color"
        )
    assert after[0] >= 1.5 * before[0]
    assert after[1] >= before[1]
