"""A place explained, against the searches that it stands for."""

import json
import math

import pytest

from dwc.errors import QueryError
from dwc.explain.score_split import explain_score
from dwc.search.searcher import Searcher
from dwc.search.weight_sweep import WeightSweep
from tests.search.made import made_gallery, made_query


@pytest.fixture(scope="module")
def searcher(loaded, store):
    return Searcher(loaded, store)


@pytest.mark.slow
@pytest.mark.parametrize("shift", [0.0, 1.0, -math.inf])
def test_an_explanation_agrees_with_the_search(searcher, shift):
    question = {"reference_id": "p04.png", "text": "is red"}
    sweep = searcher.sweep(searcher.encode_query(**question))

    def found(at):
        return searcher.search(**question, k=100, shift=at).hits

    hits = found(shift)
    score = {hit.id: hit.score for hit in hits}
    for hit, following in zip(hits, [*hits[1:], None], strict=True):
        why = explain_score(sweep, hit.id, shift)
        if all(abs(score[id] - hit.score) > 1e-4 for id in score if id != hit.id):
            assert why.rank == hit.rank
            assert why.percentile == pytest.approx(hit.percentile)
            expected = {}
            for name, at in (("picture", math.inf), ("words", -math.inf), ("learned", 0.0)):
                others = {other.id: other.score for other in found(at)}
                own = others.pop(hit.id)
                if all(abs(other - own) > 1e-4 for other in others.values()):
                    expected[name] = 1 + sum(other > own for other in others.values())
            assert {name: why.ranks[name] for name in expected} == expected
        assert why.score == pytest.approx(hit.score, abs=1e-5)
        assert why.parts == pytest.approx(hit.parts, abs=1e-5)
        if following is None:
            assert why.margin is None
        else:
            assert why.margin == pytest.approx(hit.score - following.score, abs=1e-5)
        assert why.ranked == len(hits)


def test_ranks_margin_and_percentile_are_counted_among_the_ranked():
    vectors, ids = made_gallery(30)
    query = made_query()
    sweep = WeightSweep(query, vectors, ids, excluded=[6, 11])
    scores = {n: float(s) for n, s in enumerate(sweep.scores()) if n not in (6, 11)}
    average = {
        n: float(s) for n, s in enumerate(sweep.variant_scores("average")) if n not in (6, 11)
    }
    order = sorted(scores, key=lambda n: (-scores[n], n))
    for rank, position in enumerate(order, start=1):
        why = explain_score(sweep, ids[position])
        assert (why.rank, why.ranked) == (rank, 28)
        lower = sum(score < scores[position] for score in scores.values())
        assert why.percentile == pytest.approx(100 * lower / 28)
        by_average = sorted(average, key=lambda n: (-average[n], n))
        assert why.ranks["average"] == 1 + by_average.index(position)
        assert sum(why.parts.values()) == pytest.approx(why.score, abs=1e-5)
    # Equal pictures have no margin between them.
    assert (
        explain_score(sweep, min("g0", "g29", key=lambda i: explain_score(sweep, i).rank)).margin
        == 0.0
    )


def test_an_explanation_of_words_alone_has_no_picture_and_is_plain_data(searcher):
    sweep = searcher.sweep(searcher.encode_query(text="is red"))
    told = explain_score(sweep, "p01.png", math.inf).to_dict()
    assert told["ranks"]["picture"] is told["ranks"]["average"] is None
    assert told["ranks"]["words"] == told["ranks"]["learned"] == told["rank"]
    assert told["shift"] == "inf"
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_the_reference_and_strangers_have_no_place(searcher):
    sweep = searcher.sweep(searcher.encode_query(reference_id="p07.png"))
    for id in ("p07-copy.bmp", "nobody"):
        with pytest.raises(QueryError, match=id):
            explain_score(sweep, id)
