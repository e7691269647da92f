"""Exact search against a ranker of three lines, ties included."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dwc.gallery import exact_search
from dwc.gallery.exact_search import ExactIndex, best_positions


def rank_naively(vectors, query, k, exclude):
    scores = [float(sum(a * b for a, b in zip(vector, query, strict=True))) for vector in vectors]
    order = sorted(range(len(vectors)), key=lambda position: (-scores[position], position))
    return [(p, scores[p]) for p in order if p not in exclude][:k]


@st.composite
def galleries(draw):
    # Small whole numbers: their products are exact, so that equal scores are equal, and frequent.
    numbers = st.integers(-2, 2)
    size, dimension = draw(st.integers(0, 30)), draw(st.integers(1, 4))
    rows = st.lists(numbers, min_size=dimension, max_size=dimension)
    vectors = draw(st.lists(rows, min_size=size, max_size=size))
    queries = draw(st.lists(rows, min_size=1, max_size=4))
    exclude = [draw(st.sets(st.integers(0, size - 1))) if size else set() for _ in queries]
    return np.array(vectors, dtype=np.float32).reshape(size, dimension), queries, exclude


@settings(max_examples=400, deadline=None)
@given(galleries(), st.integers(1, 40), st.integers(1, 80))
def test_search_agrees_with_the_naive_ranker(gallery, k, scores_held):
    vectors, queries, exclude = gallery
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact_search, "_SCORES_HELD", scores_held)  # from one row a block upwards
        found = ExactIndex(vectors).search(np.array(queries, dtype=np.float32), k, exclude)
    for n, query in enumerate(queries):
        expected = rank_naively(vectors.tolist(), query, k, exclude[n])
        got = [
            (int(position), float(score))
            for position, score in zip(found.positions[n], found.scores[n], strict=True)
            if position >= 0
        ]
        assert got == expected
        filled = found.scores[n][len(expected) :]
        assert np.isneginf(filled).all()


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(-3, 3), max_size=40), st.integers(1, 50), st.data())
def test_best_positions_agrees_with_sorting(values, k, data):
    positions = st.sets(st.integers(0, len(values) - 1)) if values else st.just(set())
    exclude = data.draw(positions)
    scores = np.array(values, dtype=np.float32)
    before = scores.copy()
    order = sorted(set(range(len(values))) - exclude, key=lambda p: (-values[p], p))
    assert best_positions(scores, k, exclude).tolist() == order[:k]
    assert np.array_equal(scores, before)


def test_scores_are_of_every_picture(tmp_path):
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((50, 8)).astype(np.float32)
    file = tmp_path / "vectors"
    file.write_bytes(vectors.tobytes())
    mapped = np.memmap(file, dtype="<f4", mode="r", shape=vectors.shape)
    query = rng.standard_normal(8).astype(np.float32)
    assert np.allclose(ExactIndex(mapped).scores(query), vectors @ query, atol=1e-6)
    found = ExactIndex(mapped).search(query[None], 50)
    assert found.positions.shape == (1, 50)
    assert np.array_equal(found.positions[0], best_positions(vectors @ query, 50))
