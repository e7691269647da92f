"""What fits is told where it is known, and nowhere else."""

from types import SimpleNamespace

import pytest
from PIL import Image

from dwc.catalogue.splits import gallery
from dwc.search.query import EncodedQuery
from dwc.ui.gallery_images import StoreImages
from dwc.ui.relevance import address_of, garments_of, own_questions, truth_of

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
    truth = truth_of(GARMENTS, asked(f"in {colour}", SKIRT))
    assert truth.why_unknown == ""
    for id, other in GARMENTS.items():
        same = all(
            other.get(name) == value
            for name, value in garment.attributes.items()
            if name not in ("colour", "shade", "second_colour")
        )
        if id in truth.fitting:
            assert other.category == "skirt"
            assert other["colour"] == colour
            assert same


def test_the_reference_is_no_answer():
    own = GARMENTS[SKIRT]["colour"]
    assert SKIRT not in truth_of(GARMENTS, asked(f"in {own}", SKIRT)).fitting


def test_words_alone_are_a_description():
    fitting = truth_of(GARMENTS, asked("a skirt", image=None)).fitting
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
    truth = truth_of(garments, question)
    assert truth.fitting is None
    assert why in truth.why_unknown


def test_the_catalogues_own_questions_have_several_answers():
    pictures = DrawnPictures()
    questions = own_questions(pictures)
    assert 0 < len(questions) <= 3
    assert own_questions(pictures) is questions
    for question in questions:
        truth = truth_of(GARMENTS, asked(question["text"], question["ref"]))
        assert len(truth.fitting) >= 2
    assert address_of({"ref": "a b", "text": "no <i>"}) == "?ref=a+b&text=no+%3Ci%3E"


def test_other_galleries_have_no_questions():
    photographs = SimpleNamespace(ids=["p-1"])
    assert garments_of(photographs) == {}
