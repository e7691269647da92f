"""Leaning a question against the search that would be made anew."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dwc.errors import QueryError
from dwc.modeling.combiners import ComposedQuery, Composition
from dwc.search.searcher import Searcher
from dwc.search.weight_sweep import WeightSweep, shift_for_weight
from tests.search.made import made_gallery, made_query


def sweep_of(weights=(0.6, 0.3), count=40, excluded=()):
    vectors, ids = made_gallery(count)
    return WeightSweep(made_query(weights=weights), vectors, ids, excluded)


def mean(weights):
    return sum(weight.image for weight in weights.values()) / len(weights)


@pytest.mark.slow
@given(st.floats(0.001, 0.999), st.floats(0.02, 0.98), st.floats(0.02, 0.98))
def test_the_shift_leads_to_the_position(position, clip, cnn):
    sweep = sweep_of((clip, cnn), count=3)
    assert mean(sweep.weights(shift_for_weight(sweep, position))) == pytest.approx(
        position, abs=1e-5
    )


def test_the_learned_position_is_no_shift_and_the_ends_are_infinite():
    sweep = sweep_of()
    assert shift_for_weight(sweep, mean(sweep.weights())) == pytest.approx(0, abs=1e-6)
    assert (shift_for_weight(sweep, 0), shift_for_weight(sweep, 1)) == (-math.inf, math.inf)
    with pytest.raises(QueryError, match=r"position is 1\.5"):
        shift_for_weight(sweep, 1.5)


def test_one_modality_has_nothing_to_lean_to():
    picture, nothing = torch.ones(1, 8), torch.zeros(1, 8)
    composed = ComposedQuery(clip=Composition.mix(picture, nothing, torch.ones(1, 1)))
    vectors, ids = made_gallery(5)
    assert shift_for_weight(WeightSweep(composed, vectors[:, :8], ids), 0.2) == 0


@pytest.mark.parametrize("shift", [-math.inf, -1.5, 0.0, 0.7, math.inf])
def test_the_hits_are_those_of_a_search_at_that_shift(loaded, store, shift):
    searcher = Searcher(loaded, store)
    asked = searcher.encode_query(text="is blue", reference_id=store.ids[4])
    expected = searcher.answer(asked, k=9, shift=shift).hits
    found = searcher.sweep(asked).hits(shift, 9)
    assert [hit.id for hit in found] == [hit.id for hit in expected]
    assert [hit.percentile for hit in found] == [hit.percentile for hit in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.parts == pytest.approx(other.parts, abs=1e-5)
        assert sum(one.parts.values()) == pytest.approx(one.score, abs=1e-5)
