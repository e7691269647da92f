"""Ranking against a naive ranker; the report; and embedding, on a tiny model."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dwc.datasets.triplets import Benchmark, RetrievalQuery
from dwc.errors import DatasetError, ImageError
from dwc.evaluation.metrics import NEVER, spearman
from dwc.evaluation.retrieval import (
    RankReport,
    batched,
    compose_queries,
    embed_gallery,
    embed_readable,
    encode_benchmark,
    rank_hits,
    run_benchmark,
)
from tests.evaluation.made import WORLD
from tests.training.tiny import COLOURS, PX, tiny_model, tiny_processor

GALLERY = tuple("abcdef")


@pytest.fixture(scope="module")
def world():
    torch.set_num_threads(1)
    processor = tiny_processor()
    model = tiny_model(processor).eval()
    model.config.caption_template = {"single": "{0}", "pair": "{0} and {1}"}
    return model, processor


def open_picture(name):
    colour = list(COLOURS.values())["abcde".find(name)]
    return Image.new("RGB", (PX, PX), tuple(round(255 * level) for level in colour))


def naive_rank(scores, names, query, reference_removed):
    """Sort what is left, misses before hits where scores tie; count up to the first hit."""
    left = [n for n in range(len(names)) if not (reference_removed and names[n] == query.reference)]
    left.sort(key=lambda n: (-scores[n], names[n] in query.hits))
    for rank, n in enumerate(left, start=1):
        if names[n] in query.hits:
            return rank
    return NEVER


@pytest.mark.slow
@settings(deadline=None, max_examples=50)
@given(data=st.data(), removed=st.booleans(), chunk=st.integers(1, 4))
def test_ranks_are_the_naive_ones(data, removed, chunk):
    few = st.integers(-2, 2)  # few values, so that scores tie
    gallery = np.array(data.draw(st.lists(st.tuples(few, few), min_size=6, max_size=6)), np.float32)
    asked = data.draw(
        st.lists(
            st.tuples(st.sampled_from("abcdex"), st.frozensets(st.sampled_from("abcdefy")), few),
            min_size=1,
            max_size=5,
        )
    )
    queries = tuple(RetrievalQuery(reference, ("c",), hits) for reference, hits, _ in asked)
    vectors = np.array([(one, 1) for _, _, one in asked], np.float32)
    benchmark = Benchmark("p", GALLERY, queries, removed)
    expected = [
        naive_rank(gallery @ vector, GALLERY, query, removed)
        for vector, query in zip(vectors, queries, strict=True)
    ]
    assert rank_hits(benchmark, vectors, gallery, chunk).tolist() == expected


def report(shares, weights):
    queries = tuple(RetrievalQuery("a", ("c",), frozenset("b"), share) for share in shares)
    ranks = {"together": np.array([1, 11, 60]), "clip": np.array([2, 2, 2])}
    return RankReport(Benchmark("p", GALLERY, queries), ranks, {"clip": np.array(weights)})


def test_the_report_counts_recalls_and_follows_the_truth():
    made = report([0.1, 0.5, 0.9], [0.2, 0.7, 0.6]).to_dict()
    assert (made["recall@1"], made["recall@10"], made["recall@50"]) == (1 / 3, 1 / 3, 2 / 3)
    assert made["streams"]["clip"]["recall@10"] == 1
    assert made["streams"]["clip"]["image_weight_mean"] == pytest.approx(0.5)
    correlation = made["streams"]["clip"]["weight_truth_correlation"]
    assert correlation == pytest.approx(spearman([0.2, 0.7, 0.6], [0.1, 0.5, 0.9]))
    assert (made["queries"], made["gallery"], made["missing"]) == (3, 6, 0)


@pytest.mark.parametrize(
    ("shares", "weights"), [([0.1, None, 0.9], [0.2, 0.7, 0.6]), ([0.1, 0.5, 0.9], [0.5] * 3)]
)
def test_without_a_truth_or_with_one_weight_there_is_no_correlation(shares, weights):
    made = report(shares, weights).to_dict()
    assert "weight_truth_correlation" not in made["streams"]["clip"]
    assert not any(isinstance(value, float) and math.isnan(value) for value in made.values())


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8])
def test_batches_are_the_items_in_order(size):
    chunks = list(batched(range(7), size))
    assert [n for chunk in chunks for n in chunk] == list(range(7))
    assert all(len(chunk) == size for chunk in chunks[:-1])


@pytest.mark.slow
def test_vectors_do_not_depend_on_the_batch(world):
    model, processor = world
    whole = embed_gallery(model, processor, "abcde", open_picture)
    np.testing.assert_allclose(
        whole, embed_gallery(model, processor, "abcde", open_picture, 2), atol=1e-5
    )
    queries = [
        RetrievalQuery("a", ("top red",), frozenset("b")),
        RetrievalQuery("b", ("top red", "bottom blue"), frozenset("c")),
        RetrievalQuery("c", ("bottom white",), frozenset("c")),
    ]
    together = compose_queries(model, processor, queries, open_picture)
    alone = compose_queries(model, processor, queries, open_picture, 1)
    for stream in ("clip", "cnn"):
        np.testing.assert_allclose(together.embeddings[stream], alone.embeddings[stream], atol=1e-5)
        np.testing.assert_allclose(
            together.image_weights[stream], alone.image_weights[stream], atol=1e-5
        )


@pytest.mark.slow
def test_a_benchmark_is_run_for_both_streams_and_each(world):
    model, processor = world
    queries = tuple(
        RetrievalQuery(name, ("top red",), frozenset({other}), 0.1 * n)
        for n, (name, other) in enumerate(zip("abcd", "bcde", strict=True))
    )
    benchmark = Benchmark("p", tuple("abcde"), queries)
    made = run_benchmark(benchmark, model, processor, open_picture)
    gallery = embed_gallery(model, processor, "abcde", open_picture)
    composed = compose_queries(model, processor, queries, open_picture).embeddings
    start = 0
    sums = np.zeros((4, 5))
    for name, vectors in composed.items():
        scores = vectors @ gallery[:, start : start + vectors.shape[1]].T
        start += vectors.shape[1]
        sums += scores
        expected = [
            naive_rank(row, "abcde", q, True) for row, q in zip(scores, queries, strict=True)
        ]
        assert made.ranks[name].tolist() == expected
    assert set(made.ranks) == {"together", "clip", "cnn"}
    assert made.ranks["together"].tolist() == [
        naive_rank(row, "abcde", q, True) for row, q in zip(sums, queries, strict=True)
    ]


def open_all_but(broken, opened=None):
    def open_one(name):
        if opened is not None:
            opened.append(name)
        if name in broken:
            raise ImageError(f"{name}: is cut short")
        return open_picture(name)

    return open_one


@pytest.mark.parametrize("size", [1, 2, 64])
def test_pictures_that_cannot_be_read_are_skipped_and_the_others_keep_their_place(world, size):
    vectors, unreadable = embed_readable(*world, "abcde", open_all_but("bd"), size)
    assert unreadable == {"b": "b: is cut short", "d": "d: is cut short"}
    np.testing.assert_allclose(vectors, embed_gallery(*world, "ace", open_picture), atol=1e-5)


def chain_of(names):
    pairs = pairwise(names)
    return Benchmark(
        "p", tuple(names), tuple(RetrievalQuery(a, ("top red",), frozenset(b)) for a, b in pairs)
    )


def test_queries_go_with_a_picture_that_cannot_be_read():
    opened = []
    made = encode_benchmark(chain_of("abcde"), *WORLD, open_all_but("b", opened))
    assert made.benchmark.gallery == tuple("acde")
    assert [query.reference for query in made.benchmark.queries] == ["c", "d"]
    assert made.benchmark.missing == ("b",)
    assert (len(made.gallery), made.answerable) == (4, 2)
    assert opened.count("b") == 1  # it is not tried again as a reference


def test_queries_are_drawn_from_what_is_left():
    benchmark = chain_of("abcde")
    made = encode_benchmark(benchmark, *WORLD, open_all_but("a"), queries=2, seed=3)
    assert (len(made.benchmark.queries), made.answerable) == (2, 3)
    assert set(made.benchmark.queries) < set(benchmark.queries)
    assert made.benchmark.gallery == tuple("bcde")
    again = encode_benchmark(benchmark, *WORLD, open_all_but("a"), queries=2, seed=3)
    assert again.benchmark == made.benchmark


@pytest.mark.parametrize("broken", ["abcde", "bd"])
def test_no_query_left_is_an_error(broken):
    count = len(broken)
    with pytest.raises(DatasetError, match=f"no query of p is left.*{count} cannot be read"):
        encode_benchmark(chain_of("abcde"), *WORLD, open_all_but(broken))


def test_a_benchmark_without_queries_is_not_blamed_on_its_pictures():
    empty = Benchmark("p", tuple("abc"), ())
    with pytest.raises(DatasetError, match="p has no query, although all of its pictures"):
        encode_benchmark(empty, *WORLD, open_all_but(""))


def test_the_views_are_the_streams_side_by_side():
    made = encode_benchmark(chain_of("abcde"), *WORLD, open_picture)
    views = made.views
    assert list(views) == ["together", "clip", "cnn"]
    for side in (0, 1):
        joined = np.concatenate([views["clip"][side], views["cnn"][side]], axis=1)
        np.testing.assert_array_equal(views["together"][side], joined)


def test_texts_that_are_cut_are_counted(world):
    queries = [RetrievalQuery("a", ("top red " * n,), frozenset("b")) for n in (1, 30, 40)]
    model, processor = world
    assert compose_queries(model, processor, queries, open_picture).texts_cut == 2


def test_a_long_run_tells_each_tenth(caplog):
    with caplog.at_level("INFO", "dwc.evaluation.retrieval"):
        embed_readable(*WORLD, "abcde" * 10, open_picture, 1)
    told = [record.message.split("  ")[0] for record in caplog.records]
    assert told == [f"pictures {n}/50" for n in range(5, 51, 5)]
