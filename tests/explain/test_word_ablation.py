"""Every effect against two whole searches, one with the word and one without."""

import json
import math

import pytest

from dwc.errors import QueryError
from dwc.explain.word_ablation import ablate_words
from dwc.search.query import compose_texts, encode_query
from dwc.search.query_batching import QueryComposer
from dwc.search.searcher import Searcher


@pytest.fixture(scope="module")
def searcher(loaded, store):
    return Searcher(loaded, store)


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
    asked = searcher.encode_query(text=text, reference_id=reference)
    effects = ablate_words(searcher, asked, "p09.png", shift)

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
    asked = searcher.encode_query(text="is red, zork and red", reference_id="p03.png")
    effects = ablate_words(searcher, asked)
    assert [effect.word for effect in effects.words] == ["is", "red", "zork", "and", "red"]
    assert [effect.position for effect in effects.words] == [0, 1, 2, 3, 4]
    assert [effect.word for effect in effects.words if effect.unknown] == ["zork"]
    assert effects.words[1].weight_effect != effects.words[4].weight_effect
    assert {effect.score_effect for effect in effects.words} == {None}
    told = effects.to_dict()
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_without_words_there_are_no_effects(searcher):
    effects = ablate_words(searcher, searcher.encode_query(reference_id="p03.png"), "p05.png")
    assert effects.words == []
    assert math.isfinite(effects.score)
    only_marks = searcher.encode_query(text="...", reference_id="p03.png")
    assert ablate_words(searcher, only_marks).words == []


def test_what_cannot_be_watched_is_told(searcher):
    asked = searcher.encode_query(text="is red")
    with pytest.raises(QueryError, match="no picture 'nobody'"):
        ablate_words(searcher, asked, "nobody")
    with pytest.raises(QueryError, match="not a number"):
        ablate_words(searcher, asked, shift=math.nan)
