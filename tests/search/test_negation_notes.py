"""A search says which words that exclude its model has not learned."""

import pytest

from dwc.checkpoints.load import DRAWINGS_FOLDER, load
from dwc.gallery.builder import build_store
from dwc.gallery.sources import FolderSource
from dwc.search.query import image_embedder, model_identity
from dwc.search.searcher import Searcher


@pytest.fixture(scope="module")
def searcher(pictures, tmp_path_factory):
    bundled = load(str(DRAWINGS_FOLDER))  # it was trained on few negations
    folder = tmp_path_factory.mktemp("stores") / "bundled"
    source = FolderSource(pictures)
    return Searcher(
        bundled, build_store(source, image_embedder(bundled), folder, model_identity(bundled))
    )


@pytest.mark.parametrize("phrase", ["without any", "minus", "anything but", "except", "remove"])
def test_an_unlearned_negation_is_said_where_the_vocabulary_lacks_it(searcher, phrase):
    """350f231 found the stripes, and said nothing."""
    notes = searcher.search(text=f"{phrase} stripes", k=3).notes
    missing = [word for word in phrase.split() if searcher.checkpoint.processor.unknown_words(word)]
    assert bool(missing) == any(f'not learned "{phrase}"' in note for note in notes)


def test_a_learned_negation_needs_no_note(searcher):
    for text in ("no stripes", "not red", "without a belt", "longer"):
        assert not any("not learned" in note for note in searcher.search(text=text, k=3).notes)


@pytest.mark.parametrize("text", ["isnt red", "cant be red", "neither red nor blue", "!red"])
def test_short_forms_have_a_note(searcher, text):
    assert any("not learned" in note for note in searcher.search(text=text, k=3).notes)


def test_an_abbreviated_without_is_read_as_without(searcher):
    short, spelled = (searcher.search(text=f"{word} stripes", k=3) for word in ("w/o", "without"))
    assert short.hits == spelled.hits
    assert short.unknown_words == []


@pytest.mark.parametrize("text", ["🚫red", "no🚫 red", "🚫 red", "red🚫"])
def test_a_prohibition_sign_is_said_to_be_unknown(searcher, text):
    assert searcher.search(text=text, k=3).unknown_words == ["🚫"]
