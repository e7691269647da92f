"""Look-alikes against a naive reading of their definition, and against copies made on purpose."""

import time
from statistics import median

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dwc.errors import QueryError
from dwc.search.results import NEAR_SHARE, SAMPLE_SIZE, NearDuplicates
from tests.search.made import made_gallery


def with_copies(seed, count, noise):
    """A gallery of made vectors; every third is the one before it, moved a little."""
    vectors, ids = made_gallery(count, seed=seed)
    rng = np.random.default_rng(seed)
    for place in range(2, count, 3):
        vectors[place] = vectors[place - 1] + noise * rng.standard_normal(20, dtype=np.float32)
    for streams in (slice(0, 8), slice(8, 20)):
        vectors[:, streams] /= np.linalg.norm(vectors[:, streams], axis=1, keepdims=True)
    return vectors, ids


def cosine(one, other):
    """The mean of the two streams' cosines, written out."""
    return (float(one[:8] @ other[:8]) + float(one[8:] @ other[8:])) / 2


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([0.0, 0.02, 0.1, 0.3]), st.randoms())
def test_each_is_folded_under_the_first_better_one_that_it_looks_like(seed, noise, shuffler):
    vectors, ids = with_copies(seed, 30, noise)
    ranked = shuffler.sample(ids, 18)
    alike = NearDuplicates(vectors, ids)
    folds = alike.group(ranked)
    leaders: list[int] = []
    for place, id in enumerate(ranked):
        own = vectors[ids.index(id)]
        near = [
            leader
            for leader in leaders
            if cosine(own, vectors[ids.index(ranked[leader])]) >= alike.threshold
        ]
        assert folds.duplicate_of[place] == (near[0] if near else None)
        if not near:
            leaders.append(place)
    assert sum(len(folds.duplicates_of(leader)) for leader in leaders) == folds.count
    assert len(leaders) + folds.count == len(ranked)


def test_copies_are_found_and_others_are_not():
    vectors, ids = with_copies(3, 30, 0.01)
    folds = NearDuplicates(vectors, ids).group(ids)
    copies = set(range(2, 30, 3)) | {29}  # made_gallery's last is its first, but for what is above
    assert {place for place, first in enumerate(folds.duplicate_of) if first is not None} == copies
    assert all(folds.duplicate_of[place] == place - 1 for place in range(2, 29, 3))


def test_the_usual_cosine_is_the_median_of_all_pairs_and_sets_the_limit():
    vectors, ids = made_gallery(60)
    pairs = [cosine(vectors[a], vectors[b]) for a in range(60) for b in range(a + 1, 60)]
    alike = NearDuplicates(vectors, ids)
    assert alike.median_cosine == pytest.approx(median(pairs), abs=1e-6)
    assert 1 - alike.threshold == pytest.approx(NEAR_SHARE * (1 - median(pairs)), abs=1e-6)


def test_a_large_gallery_is_sampled_over_its_whole_length():
    vectors, ids = made_gallery(4 * SAMPLE_SIZE)
    vectors[: 3 * SAMPLE_SIZE] = vectors[0]  # three quarters of the pictures are one and the same
    usual = NearDuplicates(vectors, ids).median_cosine
    assert usual == pytest.approx(1.0, abs=1e-5)  # 9 pairs in 16 are the same picture twice
    halves = vectors.copy()
    halves[:SAMPLE_SIZE], halves[SAMPLE_SIZE:] = (
        vectors[0],
        made_gallery(3 * SAMPLE_SIZE, seed=5)[0],
    )
    assert NearDuplicates(halves, ids).median_cosine < 0.5


def test_many_copies_do_not_move_the_limit():
    """Photographs taken three at a time: pairs of copies are few among all pairs."""
    vectors, ids = made_gallery(100)
    tripled = NearDuplicates(np.repeat(vectors, 3, axis=0), [f"{n}" for n in range(300)])
    assert tripled.median_cosine == pytest.approx(
        NearDuplicates(vectors, ids).median_cosine, abs=0.03
    )
    assert tripled.group([f"{n}" for n in range(9)]).duplicate_of == [
        None, 0, 0, None, 3, 3, None, 6, 6,
    ]  # fmt: skip


def test_a_chain_of_small_steps_does_not_join_its_ends():
    """On a circle, each a limit's angle from the next: every other one stands for itself."""
    usual = 0.0
    step = np.arccos(1 - NEAR_SHARE * (1 - usual)) * 0.99
    rng = np.random.default_rng(0)
    others = rng.standard_normal((400, 64), dtype=np.float32)
    angles = step * np.arange(6)
    chain = np.zeros((6, 64), dtype=np.float32)
    chain[:, 0], chain[:, 1] = np.cos(angles), np.sin(angles)
    vectors = np.concatenate([chain, others])
    alike = NearDuplicates(vectors, [f"{n}" for n in range(len(vectors))])
    assert alike.median_cosine == pytest.approx(usual, abs=0.01)
    assert alike.group([str(n) for n in range(6)]).duplicate_of == [None, 0, None, 2, None, 4]


@pytest.mark.parametrize("count", [1, 2])
def test_a_gallery_too_small_to_tell_folds_only_the_same_picture(count):
    vectors, ids = made_gallery(3)
    alone = NearDuplicates(vectors[:count], ids)
    assert alone.group(ids[:count]).count == 0
    same = NearDuplicates(np.repeat(vectors[:1], count, axis=0), ids)
    assert same.group(ids[:count]).count == count - 1


def test_nothing_found_has_nothing_to_fold():
    vectors, ids = made_gallery(5)
    folds = NearDuplicates(vectors, ids).group([])
    assert folds.duplicate_of == []
    assert folds.count == 0


def test_an_id_that_the_gallery_lacks_is_told():
    vectors, ids = made_gallery(5)
    with pytest.raises(QueryError, match="no picture 'nobody' among its 5"):
        NearDuplicates(vectors, ids).group(["g1", "nobody"])


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 25), st.randoms())
def test_folded_pages_are_filled_up(seed, k, shuffler):
    """Against a naive reading: go down the ranking until `k` images duplicate no better one."""
    vectors, ids = with_copies(seed, 30, 0.02)
    order = shuffler.sample(range(30), 30)
    alike = NearDuplicates(vectors, ids)
    groups: dict[int, list[int]] = {}
    for position in order:
        near = [n for n in groups if cosine(vectors[n], vectors[position]) >= alike.threshold]
        if near:
            groups[near[0]].append(position)
        elif len(groups) == k:
            break
        else:
            groups[position] = []
    asked = []
    found = alike.fold(lambda count: asked.append(count) or np.array(order[:count]), k)
    assert found == groups
    assert list(found) == list(groups)
    assert asked[0] == 2 * k


def test_one_picture_many_times_is_one_result():
    vectors, ids = made_gallery(400)
    vectors[:390] = vectors[0]
    found = NearDuplicates(vectors, ids).fold(lambda count: np.arange(400)[:count], 5)
    assert list(found) == [0, 390, 391, 392, 393]
    assert found[0] == list(range(1, 390))


@pytest.mark.bench
def test_folding_costs_next_to_nothing():
    vectors, ids = made_gallery(100_000, widths=(256, 256))
    alike = NearDuplicates(vectors, ids)
    start = time.process_time()
    alike.group(ids[:12])
    first = (time.process_time() - start) * 1e3
    taken = []
    for turn in range(9):
        ranked = ids[turn * 96 : (turn + 1) * 96]
        start = time.process_time()
        alike.group(ranked)
        taken.append((time.process_time() - start) * 1e3)
    print(
        f"\n96 of 100,000 x 512: {median(taken):.2f} ms; the usual distance, once: {first:.1f} ms"
    )
    assert median(taken) < 5
