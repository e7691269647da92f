"""What fits is told where it is known, and nowhere else."""

from types import SimpleNamespace

import pytest
from PIL import Image

from dwc.catalogue.schema import Garment
from dwc.catalogue.splits import gallery
from dwc.search.query import EncodedQuery
from dwc.ui.gallery_images import StoreImages
from dwc.ui.relevance import find_relevant, garments_of, own_queries, query_address

GARMENTS = {item.id: item.garment for item in gallery("test", 400)}
SKIRT = next(id for id, garment in GARMENTS.items() if garment.category == "skirt")
PICTURE = Image.new("RGB", (8, 8))


def asked(text, reference_id=None, image=PICTURE):
    return EncodedQuery(image, text, None, reference_id=reference_id)


class DrawnPictures(StoreImages):
    """The catalogue's pictures without a store."""

    ids = tuple(GARMENTS)
    garments = GARMENTS

    def __init__(self):
        pass


def test_what_fits_is_known_for_a_drawn_reference():
    garment = GARMENTS[SKIRT]
    colour = "blue" if garment["colour"] != "blue" else "red"
    relevance = find_relevant(GARMENTS, asked(f"in {colour}", SKIRT))
    assert relevance.why_unknown == ""
    for id, other in GARMENTS.items():
        same = all(
            other.get(name) == value
            for name, value in garment.attributes.items()
            if name not in ("colour", "shade", "second_colour")
        )
        if id in relevance.ids:
            assert other.category == "skirt"
            assert other["colour"] == colour
            assert same


def test_the_reference_is_no_answer():
    own = GARMENTS[SKIRT]["colour"]
    assert SKIRT not in find_relevant(GARMENTS, asked(f"in {own}", SKIRT)).ids


def test_a_result_that_contradicts_the_words_is_known():
    garment = GARMENTS[SKIRT]
    color, other = [c for c in ("blue", "red", "green") if c != garment["colour"]][:2]
    relevance = find_relevant(GARMENTS, asked(f"in {color}", SKIRT))
    wrong = {id: text for id, g in GARMENTS.items() if (text := relevance.contradiction(g))}
    for id, item in GARMENTS.items():
        assert (id in wrong) == (item["colour"] != color)
    assert next(wrong[id] for id, g in GARMENTS.items() if g["colour"] == other) == (
        f"{other}, not {color}"
    )
    excluded = find_relevant(GARMENTS, asked(f"no {garment['colour']}", SKIRT))
    assert excluded.contradiction(garment).startswith(f"{garment['colour']} is excluded")
    hats = find_relevant(GARMENTS, asked("a hat", SKIRT))
    assert hats.contradiction(garment) == "skirt"
    unknown = find_relevant({}, asked("in blue", SKIRT))
    assert unknown.contradiction(garment) == ""


def test_what_the_gallery_lacks_is_named():
    garment = GARMENTS[SKIRT]
    color = next(c for c in ("blue", "red", "green") if c != garment["colour"])
    skirts = {id: g for id, g in GARMENTS.items() if g.category == "skirt"}
    few = {id: g for id, g in skirts.items() if id == SKIRT or g["colour"] != color}
    lacking = find_relevant(few, asked(f"in {color}", SKIRT)).lacking
    assert "no garment of this kind has all that the words ask for" in lacking
    assert "differs in color" in lacking
    other = dict(garment.attributes) | {"colour": color, "hem": "no such hem"}
    changed = Garment("skirt", tuple(other.values()))
    near = find_relevant(few | {"near": changed}, asked(f"in {color}", SKIRT)).lacking
    assert "one garment of this kind has what the words ask for" in near
    assert near.endswith("differs in hem.")
    assert find_relevant(GARMENTS, asked("a skirt", image=None)).lacking == ""
    none = find_relevant(few, asked("a hat", SKIRT)).lacking
    assert "no garment of the kind" in none


def test_words_alone_are_a_description():
    fitting = find_relevant(GARMENTS, asked("a skirt", image=None)).ids
    assert fitting == {id for id, garment in GARMENTS.items() if garment.category == "skirt"}


@pytest.mark.parametrize(
    ("garments", "question", "why"),
    [
        ({}, asked("in blue", "p-1"), "nobody has said what is in its pictures"),
        (GARMENTS, asked("in blue"), "uploaded"),
        (GARMENTS, asked("", SKIRT), "without words"),
        (GARMENTS, asked("for a wedding", SKIRT), "not among those"),
    ],
)
def test_why_nothing_is_known_is_told(garments, question, why):
    relevance = find_relevant(garments, question)
    assert relevance.ids is None
    assert why in relevance.why_unknown


def test_the_catalogues_own_questions_have_several_answers():
    pictures = DrawnPictures()
    questions = own_queries(pictures)
    assert 0 < len(questions) <= 3
    assert own_queries(pictures) is questions
    for question in questions:
        relevance = find_relevant(GARMENTS, asked(question["text"], question["ref"]))
        assert len(relevance.ids) >= 2
    assert query_address({"ref": "a b", "text": "no <i>"}) == "?ref=a+b&text=no+%3Ci%3E"


def test_other_galleries_have_no_questions():
    photographs = SimpleNamespace(ids=["p-1"])
    assert garments_of(photographs) == {}
