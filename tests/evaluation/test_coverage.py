"""What the report says of how much was there."""

from dataclasses import replace

import pytest

from dwc.evaluation.retrieval import MAX_NAMED, Coverage

WHOLE = Coverage(
    queries=2_000, all_queries=2_000, evaluated=2_000, gallery=3_000, all_gallery=3_000
)


def test_a_whole_benchmark_compares() -> None:
    told = WHOLE.to_dict()
    assert told["comparable"] is True
    assert told["comparability"].startswith("comparable")
    assert (told["missing"], told["unreadable"], told["missing_pictures"]) == (0, 0, [])
    assert (told["coverage"]["queries"], told["coverage"]["gallery"]) == (1, 1)


@pytest.mark.parametrize(
    ("lost", "queries", "words", "corresponds"),
    [(30, 1_981, "nearly comparable", "1.01K"), (600, 1_500, "not comparable", "1.25K")],
)
def test_shares_and_what_a_smaller_gallery_does(
    lost: int, queries: int, words: str, corresponds: str
) -> None:
    names = tuple(str(n) for n in range(lost))
    made = Coverage(queries, 2_000, queries, 3_000 - lost, 3_000, names, unreadable=2)
    told = made.to_dict()
    assert told["comparable"] is False
    assert told["comparability"].startswith(words)
    assert f"{3_000 - lost:,} of 3,000 gallery pictures" in told["comparability"]
    assert f"{queries:,} of 2,000 queries" in told["comparability"]
    assert f"recall@{corresponds}" in told["comparability"]
    assert (told["missing"], told["unreadable"]) == (lost, 2)
    assert told["missing_pictures"] == list(names[:MAX_NAMED])


def test_lost_queries_alone_do_not_compare_either() -> None:
    assert Coverage(1_000, 2_000, 1_000, 3_000, 3_000).describe().startswith("not comparable")


def test_a_draw_is_an_estimate() -> None:
    made = Coverage(2_000, 2_000, 100, 3_000, 3_000)
    assert not made.comparable
    assert made.describe() == "an estimate, from 100 of 2,000 queries"


def test_several_together() -> None:
    without = Coverage(0, 500, 0, 0, 1_000, tuple("ab"), 1)
    both = Coverage.total([WHOLE, without])
    assert both == Coverage(2_000, 2_500, 2_000, 3_000, 4_000, tuple("ab"), 1)
    assert both.query_share == pytest.approx(0.8)
    assert both.gallery_share == pytest.approx(0.75)


def test_deviations_from_the_published_split_do_not_compare() -> None:
    made = replace(WHOLE, is_compared=True, deviations=("one caption each",))
    assert made.describe() == "not comparable; one caption each"
    assert made.to_dict()["comparable"] is False
    both = Coverage.total([replace(WHOLE, is_compared=True), made])
    assert (both.is_compared, both.deviations) == (True, ("one caption each",))
    drawn = replace(made, evaluated=100)
    assert drawn.describe().startswith("not comparable; one caption each; an estimate")


def test_what_was_compared_is_stated() -> None:
    assert WHOLE.describe().endswith("nothing shows whether they are all of it)")
    assert replace(WHOLE, is_compared=True).describe() == (
        "comparable: every picture was there and every query was asked of the published split"
    )
