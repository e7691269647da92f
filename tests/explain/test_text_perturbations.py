"""Effects of words against searches with and without them, and paraphrases against searches."""

import json
import math
import string
from itertools import combinations
from statistics import fmean, pstdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dwc.checkpoints.load import load
from dwc.errors import QueryError
from dwc.explain.text_perturbations import (
    ablate_words,
    jaccard,
    probe_paraphrases,
    remove_word,
    typed_words,
)
from dwc.gallery.builder import build_store
from dwc.gallery.sources import FolderSource
from dwc.search.image_embedding import image_embedder, model_identity
from dwc.search.query import compose_texts, encode_query
from dwc.search.query_batching import QueryComposer
from dwc.search.searcher import Searcher

TEXTS = ["is red", "is more formal and zork", "is blue", "is red"]


@pytest.fixture(scope="module")
def searcher(loaded, store):
    return Searcher(loaded, store)


@pytest.mark.parametrize(
    ("text", "position", "left"),
    [
        ("is blue and shorter", 1, "is and shorter"),
        ("is blue and shorter", 3, "is blue and"),
        ("is red, blue and green.", 1, "is, blue and green."),
        ("is red, blue and green.", 4, "is red, blue and."),
        ("is red, blue", 2, "is red,"),
        ("is red, blue!", 2, "is red!"),
        ("red. blue, green", 1, "red. green"),
        ("Blue, without sleeves", 0, "without sleeves"),
        ("has a (small) print", 2, "has a print"),
        ('says "hello" in front.', 1, "says in front."),
        ('says "hello world", twice', 1, 'says "world", twice'),
        ('says "hello world", twice', 2, 'says "hello", twice'),
        ("red & blue", 1, "red &"),
        ("  is \n  red  ", 0, "red"),
        ("v-neck!", 0, ""),
        ("- red !", 0, ""),
        ("red red red", 1, "red red"),
    ],
)
def test_the_word_goes_and_the_sentence_stays(text, position, left):
    assert remove_word(text, position) == left


def test_words_are_counted_where_they_stand():
    words = typed_words("Red, & (v-neck) red — ... no!")
    assert [word.position for word in words] == [0, 1, 2, 3, 4]
    assert [word.word for word in words] == ["Red", "v-neck", "red", "—", "no"]
    assert typed_words(" ... & ") == []


@pytest.mark.parametrize(("text", "position"), [("is red", 2), ("is red", -1), ("...", 0)])
def test_a_word_that_is_not_there_cannot_go(text, position):
    with pytest.raises(ValueError, match=f"none at {position}"):
        remove_word(text, position)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab ,.;!?()\"'[]-é\n", max_size=30))
def test_exactly_one_word_goes(text):
    words = [word.word for word in typed_words(text)]
    for position in range(len(words)):
        left = remove_word(text, position)
        expected = words[:position] + words[position + 1 :]
        assert [word.word for word in typed_words(left)] == expected
        assert set(left) <= set(text) | {" "}
        kept = [c for c in left if c in string.punctuation]
        assert len(kept) <= sum(c in string.punctuation for c in text)


def test_wordings_in_one_pass_are_the_queries_one_by_one(loaded, pictures, searcher):
    texts = ["is red", "is shorter and red", "zork"]
    image = searcher.encode_query(pictures / "p02.png").image
    for picture in (image, None):
        together = compose_texts(loaded, picture, texts, QueryComposer(loaded.model))
        for row, text in enumerate(texts):
            alone = encode_query(loaded, picture, text, QueryComposer(loaded.model)).composed
            for name, stream in together.streams.items():
                expected = alone.streams[name]
                assert stream.embedding[row].tolist() == pytest.approx(
                    expected.embedding[0].tolist(), abs=1e-5
                )
                assert float(stream.image_weight[row]) == pytest.approx(
                    float(expected.image_weight), abs=1e-5
                )
    for blank in ([], ["is red", " "]):
        with pytest.raises(QueryError, match="blank"):
            compose_texts(loaded, image, blank, QueryComposer(loaded.model))


@pytest.mark.parametrize("shift", [0.0, -1.5, math.inf])
@pytest.mark.parametrize("reference", ["p03.png", None])
@pytest.mark.parametrize("text", ["is red, zork and red", "red"])
def test_an_effect_is_the_search_with_less_the_search_without(searcher, reference, text, shift):
    query = searcher.encode_query(text=text, reference_id=reference)
    effects = ablate_words(searcher, query, "p09.png", shift)

    def seen(words):
        result = searcher.search(text=words, reference_id=reference, k=100, shift=shift)
        score = next(hit.score for hit in result.hits if hit.id == "p09.png")
        return {name: weight.image for name, weight in result.weights.items()}, score

    weights, score = seen(text)
    assert effects.weights == pytest.approx(weights, abs=1e-6)
    assert effects.score == pytest.approx(score, abs=1e-5)
    variants = ["red, zork and red", "is, zork and red", "is red, and red", "is red, zork red"]
    variants.append("is red, zork and")
    if text == "red":
        variants = [""] if reference else []
    assert [effect.without for effect in effects.words] == variants
    for effect in effects.words:
        weights_without, score_without = seen(effect.without)
        expected = {name: weights[name] - weights_without[name] for name in weights}
        assert effect.weight_effect == pytest.approx(expected, abs=1e-5)
        assert effect.score_effect == pytest.approx(score - score_without, abs=1e-5)


def test_repeated_words_have_their_own_effects_and_unknown_ones_are_marked(searcher):
    query = searcher.encode_query(text="is red, zork and red", reference_id="p03.png")
    effects = ablate_words(searcher, query)
    assert [effect.word for effect in effects.words] == ["is", "red", "zork", "and", "red"]
    assert [effect.position for effect in effects.words] == [0, 1, 2, 3, 4]
    assert [effect.word for effect in effects.words if effect.unknown] == ["zork"]
    assert effects.words[1].weight_effect != effects.words[4].weight_effect
    assert {effect.score_effect for effect in effects.words} == {None}
    described = effects.to_dict()
    assert json.loads(json.dumps(described, allow_nan=False)) == described


def test_without_words_there_are_no_effects(searcher):
    effects = ablate_words(searcher, searcher.encode_query(reference_id="p03.png"), "p05.png")
    assert effects.words == []
    assert math.isfinite(effects.score)
    only_marks = searcher.encode_query(text="...", reference_id="p03.png")
    assert ablate_words(searcher, only_marks).words == []


def test_what_cannot_be_watched_is_told(searcher):
    query = searcher.encode_query(text="is red")
    with pytest.raises(QueryError, match="no picture 'nobody'"):
        ablate_words(searcher, query, "nobody")
    with pytest.raises(QueryError, match="not a number"):
        ablate_words(searcher, query, shift=math.nan)


@pytest.mark.parametrize("reference", ["p07.png", None])
@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_a_probe_is_a_search_a_wording(searcher, reference, shift):
    query = searcher.encode_query(text=TEXTS[0], reference_id=reference)
    probe = probe_paraphrases(searcher, query, [f" {text} " for text in TEXTS[1:]], 5, shift)
    assert [wording.text for wording in probe.wordings] == TEXTS
    for wording in probe.wordings:
        found = searcher.search(text=wording.text, reference_id=reference, k=6, shift=shift)
        gap = found.hits[4].score - found.hits[5].score
        if gap > 1e-5:  # else rounding may choose
            assert set(wording.ids) == {hit.id for hit in found.hits[:5]}
        expected = {name: weight.image for name, weight in found.weights.items()}
        assert wording.image_weights == pytest.approx(expected, abs=1e-5)
        assert wording.unknown_words == found.unknown_words
    shares = []
    for a, b in combinations(range(4), 2):
        one, other = set(probe.wordings[a].ids), set(probe.wordings[b].ids)
        assert probe.overlaps[a][b] == probe.overlaps[b][a] == len(one & other) / len(one | other)
        shares.append(probe.overlaps[a][b])
    assert probe.mean_overlap == pytest.approx(fmean(shares))
    for name, spread in probe.weights.items():
        weights = [wording.image_weights[name] for wording in probe.wordings]
        assert (spread.least, spread.greatest) == (min(weights), max(weights))
        assert spread.deviation == pytest.approx(pstdev(weights))
    ranked = 21 - 2 * (reference is not None)
    assert probe.overlap_by_chance == pytest.approx(5 / (2 * ranked - 5))


def test_the_same_words_have_the_same_answer(searcher):
    query = searcher.encode_query(text="is red", reference_id="p02.png")
    probe = probe_paraphrases(searcher, query, ["is red", "is red"], k=100)
    assert probe.overlaps == [[1.0] * 3] * 3
    assert all(spread.deviation < 1e-6 for spread in probe.weights.values())
    described = probe.to_dict()
    assert json.loads(json.dumps(described, allow_nan=False)) == described


@pytest.fixture(scope="module")
def bundled(pictures, tmp_path_factory):
    checkpoint = load()
    folder = tmp_path_factory.mktemp("stores") / "bundled"
    made = build_store(
        FolderSource(pictures), image_embedder(checkpoint), folder, model_identity(checkpoint)
    )
    return Searcher(checkpoint, made)


@pytest.mark.slow
def test_a_wording_is_read_as_a_search_reads_it(bundled):
    """Words that are only written unusually were listed as unknown, and no note was given."""
    long = "is red and striped with a belt " * 30
    wordings = ["reddress", "navyblue zork", "ｂｌｕｅ", "blue-green", "minus stripes", long]
    query = bundled.encode_query(text="is red", reference_id="p02.png")
    probe = probe_paraphrases(bundled, query, wordings)
    of_picture = bundled.search(reference_id="p02.png").notes  # not repeated for each wording
    for wording, text in zip(probe.wordings, ["is red", *wordings], strict=True):
        found = bundled.search(text=text, reference_id="p02.png")
        assert wording.unknown_words == found.unknown_words
        # Not about the words alone: readings of the results, and of the picture's kind of garment.
        others = ("own reading", "picture's garment")
        of_text = [note for note in found.notes if not any(words in note for words in others)]
        assert [*of_picture, *wording.notes] == of_text
    unknown = [wording.unknown_words for wording in probe.wordings]
    assert unknown[:5] == [[], [], ["zork"], [], []]
    assert "Only the beginning of the text was read" in probe.wordings[-1].notes[0]


def test_a_wording_in_another_language_is_said_to_be_unread(bundled):
    query = bundled.encode_query(text="is red", reference_id="p02.png")
    foreign = probe_paraphrases(bundled, query, ["rotes Kleid"]).wordings[1]
    assert foreign.unknown_words == ["rotes", "Kleid"]
    assert "reads English" in foreign.notes[0]


def test_overlap_is_of_sets():
    assert jaccard(["a", "b", "c"], ["c", "d"]) == 0.25
    assert jaccard(["a"], ["b"]) == 0
    assert jaccard([], []) == 1


def test_what_cannot_be_probed_is_told(searcher):
    query = searcher.encode_query(text="is red")
    with pytest.raises(QueryError, match="no words"):
        probe_paraphrases(searcher, searcher.encode_query(reference_id="p02.png"), ["is red"])
    with pytest.raises(QueryError, match="blank"):
        probe_paraphrases(searcher, query, ["is red", "  "])
    with pytest.raises(QueryError, match="k is 0"):
        probe_paraphrases(searcher, query, ["is blue"], k=0)
    with pytest.raises(QueryError, match="not a number"):
        probe_paraphrases(searcher, query, ["is blue"], shift=math.nan)
