"""Every shift against the query mixed and the gallery met anew, and against the search itself."""

import json
import math
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dwc.checkpoints import load
from dwc.errors import QueryError
from dwc.gallery.builder import build_store
from dwc.gallery.search_index import ExactIndex
from dwc.gallery.sources import FolderSource
from dwc.modeling.combiners import ComposedQuery
from dwc.search import weight_sweep
from dwc.search.image_embedding import image_embedder, model_identity
from dwc.search.searcher import Searcher
from dwc.search.weight_sweep import TRACE_SHIFTS, VARIANTS, WeightSweep
from tests.search.made import made_gallery, made_query, made_stream
from tests.search.tiny import write_tiny_checkpoint

SOME_SHIFTS = [-math.inf, -20.0, -3.0, -0.25, 0.0, 0.5, 4.0, 30.0, math.inf]


@pytest.fixture(scope="module", params=["dwc", "clip4cir", "text_only"])
def searcher(request, pictures, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweeps")
    loaded = load.load(write_tiny_checkpoint(folder / "model", combiner=request.param))
    made = build_store(
        FolderSource(pictures), image_embedder(loaded), folder / "store", model_identity(loaded)
    )
    return Searcher(loaded, made)


@pytest.mark.slow
@pytest.mark.parametrize("shift", SOME_SHIFTS)
@pytest.mark.parametrize(
    "question",
    [
        {"reference_id": "p07.png", "text": "is red"},
        {"reference_id": "p07.png"},
        {"text": "is red and shorter"},
        {"reference_id": "p02.png", "text": "is blue", "exclude_reference": False},
    ],
)
def test_a_sweep_is_the_search_at_every_shift(searcher, question, shift):
    sweep = searcher.sweep(searcher.encode_query(**question))
    found = searcher.search(**question, k=100, shift=shift)
    scores = sweep.scores(shift)
    places = sweep.top(shift, 100)
    assert len(sweep) == len(found.hits)
    # In the same order but for ties, which rounding may turn round.
    assert {searcher.store.ids[place] for place in places} == {hit.id for hit in found.hits}
    assert scores[places] == pytest.approx([hit.score for hit in found.hits], abs=1e-5)
    assert sweep.weights(shift) == found.weights
    split = sweep.split([sweep.position(hit.id) for hit in found.hits], shift)
    for hit, parts in zip(found.hits, split, strict=True):
        position = sweep.position(hit.id)
        assert scores[position] == pytest.approx(hit.score, abs=1e-5)
        assert parts == pytest.approx(hit.parts, abs=1e-5)
        assert sweep.parts(position, shift) == parts


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    st.floats(allow_nan=False),
    st.tuples(*[st.sampled_from([0.0, 1e-6, 0.2, 0.5, 0.97, 1.0])] * 2),
    st.booleans(),
    st.integers(0, 5),
)
def test_scores_are_those_of_the_shifted_query(shift, weights, joint, seed):
    query = made_query(seed, weights, joint=joint)
    vectors, ids = made_gallery(30, seed=seed)
    expected = vectors @ query.shifted(shift).embedding[0].numpy()
    sweep = WeightSweep(query, vectors, ids)
    assert sweep.scores(shift) == pytest.approx(expected, abs=1e-5)
    for place in (0, 29):
        assert sum(sweep.parts(place, shift).values()) == pytest.approx(expected[place], abs=1e-5)


def test_a_model_of_one_stream_is_swept_alike():
    vectors, ids = made_gallery(20, widths=(12,))
    query = ComposedQuery(cnn=made_stream(torch.Generator().manual_seed(3), width=12))
    expected = vectors @ query.shifted(1.5).embedding[0].numpy()
    assert WeightSweep(query, vectors, ids).scores(1.5) == pytest.approx(expected, abs=1e-6)


def test_readings_are_one_part_the_mean_or_what_was_learned():
    query = made_query()
    vectors, ids = made_gallery(30)
    sweep = WeightSweep(query, vectors, ids)
    streams = [
        (query.clip, vectors[:, :8], float(query.clip.image_weight)),
        (query.cnn, vectors[:, 8:], float(query.cnn.image_weight)),
    ]
    for reading, fixed in (("picture", 1.0), ("words", 0.0), ("average", 0.5), ("learned", None)):
        expected = np.zeros(30)
        for stream, part, learned in streams:
            weight = learned if fixed is None else fixed
            mixed = weight * stream.image_part[0] + (1 - weight) * stream.text_part[0]
            expected += part @ (mixed / mixed.norm()).numpy()
        assert sweep.variant_scores(reading) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("weight", "there"), [(1.0, {"picture", "learned"}), (0.0, {"words", "learned"})]
)
def test_a_query_of_one_modality_has_no_other_reading(weight, there):
    sweep = WeightSweep(made_query(weights=(weight, weight)), *made_gallery(10))
    assert {reading for reading in VARIANTS if sweep.variant_scores(reading) is not None} == there


def test_ranks_count_what_is_ahead_and_leave_out_the_excluded():
    vectors, ids = made_gallery(40)
    sweep = WeightSweep(made_query(), vectors, ids, excluded=[5, 3, 5])
    scores = sweep.scores()
    scores[[7, 9, 11]] = scores[20]  # ties, within the excluded's reach, too
    scores[3] = 9.0
    order = sorted((-score, n) for n, score in enumerate(scores.tolist()) if n not in (3, 5))
    for rank, (_, position) in enumerate(order, start=1):
        assert sweep.rank(scores, position) == rank
    assert len(sweep) == 38


def test_equal_pictures_stand_side_by_side():
    sweep = WeightSweep(made_query(), *made_gallery(40))
    scores = sweep.scores(0.7)
    assert abs(sweep.rank(scores, 0) - sweep.rank(scores, 39)) == 1


def test_a_trace_follows_all_that_ever_were_among_the_best():
    vectors, ids = made_gallery(60)
    query = made_query()
    sweep = WeightSweep(query, vectors, ids, excluded=[4])
    trace = sweep.rank_trace(shifts=[1.0, -2.0, 1.0], k=5, limit=20)
    assert trace.shifts == [-math.inf, -2.0, 0.0, 1.0, math.inf]
    assert trace.shifts[trace.learned] == 0.0
    union = set()
    for step, shift in enumerate(trace.shifts):
        scores = vectors @ query.shifted(shift).embedding[0].numpy()
        order = sorted((n for n in range(60) if n != 4), key=lambda n: (-scores[n], n))
        union |= {ids[n] for n in order[:5]}
        ranks = {ids[n]: rank for rank, n in enumerate(order, start=1)}
        for item in trace.items:
            expected = ranks[item.id] if ranks[item.id] <= 20 else None
            assert item.ranks[step] == expected
        expected_weight = float(query.cnn.shifted(shift).image_weight)
        assert trace.image_weights[step]["cnn"] == expected_weight
    assert {item.id for item in trace.items} == union
    learned = [item.ranks[trace.learned] or math.inf for item in trace.items]
    assert learned == sorted(learned)


def test_a_trace_is_plain_data():
    trace = WeightSweep(made_query(), *made_gallery(60)).rank_trace(k=3)
    told = trace.to_dict()
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert (told["shifts"][0], told["shifts"][-1]) == ("-inf", "inf")
    assert len(told["shifts"]) == len(TRACE_SHIFTS)
    assert all(len(item["ranks"]) == len(TRACE_SHIFTS) for item in told["items"])


def test_what_cannot_be_swept_is_told():
    vectors, ids = made_gallery(10)
    sweep = WeightSweep(made_query(), vectors, ids, excluded=[2])
    with pytest.raises(QueryError, match="not a number"):
        sweep.scores(math.nan)
    with pytest.raises(QueryError, match="k is 0"):
        sweep.top(0.0, 0)
    with pytest.raises(QueryError, match="the limit is 4"):
        sweep.rank_trace(k=5, limit=4)
    with pytest.raises(QueryError, match="no picture 'nobody'"):
        sweep.position("nobody")
    with pytest.raises(QueryError, match="'g2' is the reference"):
        sweep.position("g2")
    with pytest.raises(ValueError, match="one query"):
        WeightSweep(
            ComposedQuery(cnn=made_stream(torch.Generator().manual_seed(0), 20, count=2)),
            vectors,
            ids,
        )
    with pytest.raises(ValueError, match="20 dimensions"):
        WeightSweep(made_query(), vectors[:, :-1], ids)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("rows_of_block", [1, 7, 16, 50])
def test_products_are_computed_in_blocks_by_several_threads(monkeypatch, threads, rows_of_block):
    vectors, ids = made_gallery(50)
    at_once = WeightSweep(made_query(), vectors, ids).scores(0.7)
    monkeypatch.setattr(weight_sweep, "_BLOCK_VALUES", rows_of_block * vectors.shape[1])
    with ThreadPoolExecutor(threads) as pool:
        monkeypatch.setattr(weight_sweep, "_threads", lambda: weight_sweep._Threads(pool, threads))
        in_blocks = WeightSweep(made_query(), vectors, ids).scores(0.7)
    assert np.allclose(in_blocks, at_once, atol=1e-6)


def test_the_threads_of_the_products_use_one_thread_of_torch_each():
    before = torch.get_num_threads()
    threads = weight_sweep._threads()
    assert threads.number == before
    assert threads.pool.submit(torch.get_num_threads).result() == 1
    with ThreadPoolExecutor(1) as other:
        assert other.submit(torch.get_num_threads).result() == before


@pytest.mark.bench
def test_a_step_costs_a_fraction_of_a_search():
    """100,000 x 512: a shift from the products, against one pass over the vectors."""
    widths = (256, 256)
    vectors, ids = made_gallery(100_000, widths)
    query = made_query(widths=widths)
    index = ExactIndex(vectors)
    sweep = WeightSweep(query, vectors, ids)

    def milliseconds(run):
        taken = []
        for _ in range(9):
            start = time.process_time()  # so that what else runs does not count
            run()
            taken.append((time.process_time() - start) * 1e3)
        return median(taken)

    step = milliseconds(lambda: sweep.scores(0.7))
    search = milliseconds(lambda: index.scores(query.shifted(0.7).embedding[0].numpy()))
    making = milliseconds(lambda: WeightSweep(query, vectors, ids))
    top = milliseconds(lambda: sweep.top(0.7, 50))
    print(
        f"\n100,000 x 512: processor time: made in {making:.1f} ms, a step {step:.2f} ms, with its "
        f"best 50 {top:.2f} ms; a search's scores {search:.1f} ms"
    )
    assert step < search / 4
    assert making < 12 * search


@pytest.mark.parametrize("selection", [False, True])
def test_scores_that_are_computed_in_blocks_are_the_same(monkeypatch, selection):
    vectors, ids = made_gallery(50, seed=4)
    query = made_query(seed=5)
    selected = np.arange(50) % 3 > 0 if selection else None

    def answer():
        sweep = WeightSweep(query, vectors, ids, (3, 17, 18), selected)
        return [(sweep.scores(shift).tolist(), sweep.hits(shift, 12)) for shift in SOME_SHIFTS]

    expected = answer()
    monkeypatch.setattr(weight_sweep, "_MIXED_AT_ONCE", 7)
    monkeypatch.setattr(weight_sweep, "_MAPPED_BYTES", 0)
    assert answer() == expected


def test_equal_pictures_have_equal_scores_wherever_they_lie():
    """A matrix product may round equal rows differently at the end of a block or of the gallery."""
    vectors, ids = made_gallery(5_003, (256, 256))
    places = [0, 1, 2_047, 2_048, 2_500, 2_501, 4_095, 4_096, 5_001, 5_002]
    vectors[places] = vectors[7]
    scores = WeightSweep(made_query(widths=(256, 256)), vectors, ids).scores()
    assert set(scores[places]) == {scores[7]}
