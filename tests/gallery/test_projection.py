"""What is alike lies close, every time at the same place; however many pictures, or how few."""

import numpy as np
import pytest

from dwc.gallery.projection import LANDMARKS, SIDE, interpolate_positions, project


def groups(count, size, seed=0):
    """(count * size, 24) unit vectors about `count` directions, and the group of each."""
    generator = np.random.default_rng(seed)
    centres = np.repeat(generator.normal(size=(count, 24)), size, axis=0)
    rows = centres + 0.3 * generator.normal(size=centres.shape)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32), np.repeat(np.arange(count), size)


def nearest_on_map(projection):
    places = projection.unit
    distances = ((places[:, None] - places) ** 2).sum(-1)
    np.fill_diagonal(distances, np.inf)
    return distances.argsort(1)


@pytest.mark.slow
@pytest.mark.parametrize("landmarks", [LANDMARKS, 60])
def test_what_is_alike_lies_close(landmarks):
    vectors, group = groups(4, 40)
    projection = project(vectors, landmarks)
    assert projection.positions.shape == (160, 2)
    assert projection.positions.dtype == np.uint16
    assert projection.laid_out == min(160, landmarks)
    nearest = nearest_on_map(projection)[:, 0]
    assert (group[nearest] == group).mean() > 0.95


@pytest.mark.slow
def test_the_map_is_the_same_every_time_and_fills_its_square():
    vectors, _ = groups(3, 20)
    first, second = project(vectors), project(vectors)
    assert (first.positions == second.positions).all()
    low, high = first.positions.min(0).astype(int), first.positions.max(0).astype(int)
    assert (high - low).max() == SIDE
    assert abs(low + high - SIDE).max() <= 2


def test_the_share_of_preserved_neighbors_agrees_with_its_definition():
    vectors, _ = groups(3, 20)
    projection = project(vectors)
    alike = vectors @ vectors.T
    np.fill_diagonal(alike, -np.inf)
    by_model, here = np.argsort(-alike, 1)[:, :10], nearest_on_map(projection)[:, :10]
    kept = [len({*one} & {*other}) / 10 for one, other in zip(by_model, here, strict=True)]
    # Places are whole numbers: neighbours at one distance may stand in another order.
    assert projection.neighbours_kept == pytest.approx(np.mean(kept), abs=0.01)


def test_a_place_is_the_mean_of_the_three_most_alike():
    generator = np.random.default_rng(3)
    rows, others = generator.normal(size=(7, 5)), generator.normal(size=(20, 5))
    places = generator.normal(size=(20, 2))
    placed = interpolate_positions(rows, others, places)
    for row, place in zip(rows, placed, strict=True):
        distances = ((others - row) ** 2).sum(1)
        nearest = distances.argsort()[:3]
        shares = 1 / distances[nearest]
        assert place == pytest.approx(shares @ places[nearest] / shares.sum())
    assert interpolate_positions(others[4:5], others, places)[0] == pytest.approx(
        places[4], abs=1e-6
    )


@pytest.mark.parametrize("count", [1, 2, 5, 13])
def test_few_pictures_have_places_too(count):
    vectors, _ = groups(1, count)
    projection = project(vectors)
    assert projection.positions.shape == (count, 2)
    assert projection.neighbours_kept is None
    assert len({tuple(place) for place in projection.positions.tolist()}) == count


def test_one_picture_many_times_lies_in_the_middle():
    vectors = np.tile(groups(1, 1)[0], (30, 1))
    assert project(vectors).unit == pytest.approx(0.5, abs=1e-4)
