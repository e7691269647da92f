"""A store's map is kept beside it, made once, and never taken for another store's."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from dwc.errors import StoreError
from dwc.gallery import projection
from dwc.gallery.projection import (
    FILE,
    Projection,
    ProjectionCache,
    load_projection,
    project,
    save_projection,
)
from dwc.gallery.store import Store


@pytest.fixture
def made(monkeypatch):
    """How often a projection was made."""
    calls = []

    def counted(vectors):
        calls.append(len(vectors))
        return project(vectors)

    monkeypatch.setattr(projection, "project", counted)
    return calls


def test_a_projection_is_computed_once_and_saved(build, photos, made):
    store = build(photos)
    assert load_projection(store) is None
    projections = ProjectionCache()
    assert projections.known(store) is None
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda _: projections.get(store), range(4)))
    assert made == [13]
    assert all(one is projections.known(Store.open(store.path)) for one in got)
    again = ProjectionCache().known(Store.open(store.path))
    assert made == [13]
    assert (again.positions == got[0].positions).all()
    assert (again.laid_out, again.neighbours_kept) == (got[0].laid_out, got[0].neighbours_kept)
    assert sorted(file.name for file in store.path.glob("map*")) == [FILE]


def test_another_stores_map_is_refused_and_gives_way(build, photos, tmp_path, made):
    store = build(photos)
    ProjectionCache().get(store)
    (photos / "p3.png").unlink()
    smaller = build(photos, tmp_path / "smaller")
    shutil.copy(store.path / FILE, smaller.path / FILE)
    with pytest.raises(StoreError, match=f"is of store {store.fingerprint}"):
        load_projection(smaller)
    assert len(ProjectionCache().get(smaller).positions) == 12
    assert len(load_projection(smaller).positions) == 12
    assert made == [13, 12]


@pytest.mark.slow
def test_a_store_that_was_added_to_gets_a_new_map(build, photos, made):
    ProjectionCache().get(build(photos))
    shutil.copy(photos / "p3.png", photos / "p3-again.png")
    assert len(ProjectionCache().get(build(photos)).positions) == 14
    assert made == [13, 14]


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 and no more", b"{}"])
def test_a_damaged_file_is_reported_and_replaced(build, photos, damage):
    store = build(photos)
    (store.path / FILE).write_bytes(damage)
    with pytest.raises(StoreError, match="cannot be read"):
        load_projection(store)
    assert len(ProjectionCache().get(store).positions) == 13


@pytest.mark.parametrize("positions", [np.zeros((4, 2), np.uint16), np.zeros((13, 2), np.float32)])
def test_positions_that_cannot_be_the_stores_are_refused(build, photos, positions):
    store = build(photos)
    save_projection(store, Projection(positions, 13, 0.5))
    with pytest.raises(StoreError, match="expected"):
        load_projection(store)


def test_one_made_otherwise_is_refused(build, photos, monkeypatch):
    store = build(photos)
    save_projection(store, Projection(np.zeros((13, 2), np.uint16), 13, None))
    assert load_projection(store).neighbours_kept is None
    monkeypatch.setattr(projection, "METHOD", "another")
    with pytest.raises(StoreError, match="made by 'another'"):
        load_projection(store)


def test_a_projection_that_cannot_be_saved_is_returned(build, photos, monkeypatch):
    store = build(photos)

    def refuse(*_):
        raise PermissionError("read-only")

    monkeypatch.setattr(projection, "save_projection", refuse)
    assert len(ProjectionCache().get(store).positions) == 13
