"""What fits is told where it is known, and nowhere else."""

from types import SimpleNamespace

import pytest
from PIL import Image

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

    def __init__(self):
        self.ids = list(GARMENTS)

    garments = GARMENTS


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
