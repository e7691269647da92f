"""A search says which words that exclude its model has not learned."""

import pytest
from PIL import Image

from dwc.checkpoints.load import DRAWINGS_FOLDER, load
from dwc.gallery.builder import build_store
from dwc.gallery.sources import FolderSource
from dwc.negation.exclusions import find_exclusions
from dwc.search.image_embedding import image_embedder, model_identity
from dwc.search.searcher import Searcher
from dwc.search.unclear_wishes import find_two_garments


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


@pytest.mark.parametrize("text", ["🚫 stripes", "👎stripes"])
def test_a_prohibition_sign_before_a_word_is_read_as_not(searcher, text):
    """It was passed over: of the first 12 for a striped top and "👎 stripes", 7 were striped."""
    signed, spelled = (searcher.search(text=words, k=3) for words in (text, "not stripes"))
    assert signed.hits == spelled.hits
    assert signed.unknown_words == spelled.unknown_words


@pytest.mark.parametrize("text", ["no🚫 red", "red🚫"])
def test_a_prohibition_sign_is_said_to_be_unknown(searcher, text):
    assert searcher.search(text=text, k=3).unknown_words == ["🚫"]


@pytest.mark.parametrize(
    ("text", "garments"),
    [
        ("hat to go with a red dress", ("hat", "dress")),
        ("black top and white trousers", ("top", "trousers")),
        ("cardigan to wear over a floral dress", ("cardigan", "dress")),
        ("shirt dress", None),
        ("red shoes or black boots", None),
        ("shoes with high heels", None),
        ("boots with very low heels, in red", None),
        ("heels with a red dress", ("heels", "dress")),
        ("same, but as a skirt", None),
        ("turn the shirt into a dress", None),
        ("jacket like a coat", None),
        ("skirt instead of a dress", None),
        ("top, a t-shirt", None),
        ("top quality red dress", None),
        ("a dress that suits me, in blue", None),
    ],
)
def test_two_garments_are_found(text, garments):
    """Of the first 12 for "hat to go with a red dress", none was a hat, and no note said why."""
    assert find_two_garments(find_exclusions(text)[1]) == garments


@pytest.mark.slow
def test_notes_on_two_garments_several_excluded_colors_and_empty_wishes(tmp_path, pictures):
    """Of the first 12 for "striped t-shirt but not white and not black", 6 were white or black."""

    bundled = load()
    store = build_store(
        FolderSource(pictures), image_embedder(bundled), tmp_path / "s", model_identity(bundled)
    )
    searcher = Searcher(bundled, store)

    def notes(text):
        return " ".join(searcher.text_notes(searcher.read_typed(text), has_image=False))

    assert "two garments (shoes and jeans)" in notes("shoes for my blue jeans")
    assert "Several colors are excluded (white, black)" in notes("striped top, not white or black")
    assert "Several kinds of garments are excluded (jeans, shorts)" in notes(
        "bottoms except jeans and shorts"
    )
    assert "Several colors" not in notes("not white or black")
    assert "Several colors" not in notes("striped top, not white")
    assert 'hardly knows "v-neck"' in notes("red top with a v-neck")
    assert "hardly knows" not in notes("red top without a v-neck")
    assert "nothing about clothes" in notes("not")
    assert "nothing about clothes" in notes("another one")
    assert "nothing about clothes" not in notes("not red")
    assert "nothing about clothes" not in notes("longer")


@pytest.mark.slow
def test_results_that_do_not_look_as_wished_are_said(tmp_path):
    """Of the first 12 for a red dress and "in pink", 0 to 2 were pink, and no note said so."""
    folder = tmp_path / "red"
    folder.mkdir()
    for n in range(13):
        Image.new("RGB", (96, 96), (200 + n, 10 + n, 20)).save(folder / f"{n}.png")
    bundled = load()
    store = build_store(
        FolderSource(folder), image_embedder(bundled), tmp_path / "s", model_identity(bundled)
    )
    searcher = Searcher(bundled, store)
    said = [
        [note for note in searcher.search(text=text, k=3).notes if "own reading" in note]
        for text in ("in green", "in red", "not green", "longer")
    ]
    assert [len(notes) for notes in said] == [1, 0, 0, 0]
    assert '0 of the first 12 results are "in green"' in said[0][0]
