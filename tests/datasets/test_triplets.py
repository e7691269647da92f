import logging

import pytest

from dwc.datasets.triplets import Benchmark, RetrievalQuery, drop_missing, sample_queries

WHOLE = Benchmark(
    "p",
    ("a", "b", "c", "d"),
    (
        RetrievalQuery("a", ("one",), frozenset("b")),
        RetrievalQuery("b", ("two",), frozenset("cd")),
        RetrievalQuery("c", ("three",), frozenset()),
        RetrievalQuery("d", ("four",), frozenset("d")),
    ),
    missing=("z",),
)


def test_no_missing_image_changes_nothing() -> None:
    assert drop_missing(WHOLE, []) is WHOLE


def test_a_query_goes_with_its_reference_or_last_hit(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        left = drop_missing(WHOLE, ["c"])
    assert left.gallery == ("a", "b", "d")
    assert left.missing == ("z", "c")
    assert [(q.captions[0], q.hits) for q in left.queries] == [
        ("one", {"b"}),
        ("two", {"d"}),
        ("four", {"d"}),
    ]
    assert "1 of 4 gallery pictures are missing; 3 of 4 queries are left" in caplog.text
    assert [q.captions[0] for q in drop_missing(left, ["b"]).queries] == ["four"]


def test_a_query_whose_answer_is_not_known_stays() -> None:
    assert "three" in {q.captions[0] for q in drop_missing(WHOLE, ["a"]).queries}


def test_queries_are_drawn_by_the_seed_in_their_order() -> None:
    drawn = [sample_queries(WHOLE, 2, seed) for seed in range(20)]
    assert drawn[3] == sample_queries(WHOLE, 2, 3)
    assert len({one.queries for one in drawn}) > 1
    for one in drawn:
        places = [WHOLE.queries.index(query) for query in one.queries]
        assert places == sorted(set(places))
        assert len(places) == 2
        assert one.gallery == WHOLE.gallery
    assert sample_queries(WHOLE, 9, 0) is WHOLE
