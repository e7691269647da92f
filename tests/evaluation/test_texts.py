"""Long captions lose words, and the template keeps its own."""

import pytest

from dwc.evaluation.retrieval import readable_text
from tests.evaluation.made import MOST_WORDS, ColourProcessor
from tests.training.tiny import tiny_processor

TEMPLATE = {"single": "<BOS> {0} <EOS>", "pair": "<BOS> {0} <AND> {1} <EOS>"}


def cut(*captions: str) -> tuple[str, bool]:
    return readable_text(ColourProcessor(), TEMPLATE, captions)


def test_what_fits_stays_as_it_is() -> None:
    assert cut("is  red", "has sleeves") == ("<BOS> is  red <AND> has sleeves <EOS>", False)
    assert cut("") == ("", False)


@pytest.mark.parametrize("extra", [1, 30])
def test_the_longest_caption_loses_its_last_words(extra: int) -> None:
    words = [f"w{n}" for n in range(MOST_WORDS - 5 + extra)]
    text, was_cut = cut("is red", " ".join(words))
    assert was_cut
    assert text == f"<BOS> is red <AND> {' '.join(words[:-extra])} <EOS>"
    assert len(text.split()) == MOST_WORDS


def test_the_checkpoints_own_tokenizer_decides() -> None:
    processor = tiny_processor()
    text, was_cut = readable_text(processor, {"single": "{0}"}, ["top red " * 40])
    assert was_cut
    assert text.startswith("top red")
    processor(text=[text])
    assert readable_text(processor, {"single": "{0}"}, ["q" * 500]) == ("", True)
