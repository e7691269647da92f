"""Exact search against a ranker of three lines, ties included."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dwc.gallery.search_index import ExactIndex, best_positions


@pytest.mark.slow
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


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 700), st.integers(1, 40), st.integers(1, 9))
def test_best_positions_of_many_scores_agrees_with_sorting(seed, count, k, values):
    """More scores than a group holds, with many ties."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, values, count).astype(np.float32)
    exclude = set(rng.choice(count, min(count, 5), replace=False).tolist())
    order = sorted(set(range(count)) - exclude, key=lambda p: (-scores[p], p))
    assert best_positions(scores, k, exclude).tolist() == order[:k]
