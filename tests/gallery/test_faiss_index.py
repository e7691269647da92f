"""The index of FAISS: what it finds, its file, and the library's traps that it steers clear of."""

import logging
import math
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from dwc.errors import DWCError, QueryError, StoreError
from dwc.gallery import faiss_index, search_index
from dwc.gallery.faiss_index import FILE, FaissIndex, check_index
from dwc.gallery.search_index import best_positions, check_index_name, open_index
from dwc.gallery.store import Store, StoredImage
from dwc.gallery.store_writer import StoreWriter
from dwc.search import weight_sweep
from dwc.search.weight_sweep import WeightSweep
from tests.gallery.made_store import MODEL, write_store
from tests.search.made import made_gallery, made_query

faiss = pytest.importorskip("faiss")

COUNT = 4_000


@pytest.fixture(scope="module")
def gallery():
    return made_gallery(COUNT)


@pytest.fixture(scope="module")
def built(gallery, tmp_path_factory):
    store = write_store(tmp_path_factory.mktemp("stores") / "store", *gallery)
    return store, FaissIndex.build(store)


@pytest.fixture
def copy(built, tmp_path):
    """A copy of the store with its index, to be damaged."""
    store, _ = built
    for file in store.path.iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


@pytest.mark.slow
def test_it_finds_nearly_all_of_the_best(built):
    store, index = built
    assert index.recall >= faiss_index.TARGET_RECALL
    rng = np.random.default_rng(5)
    shares = []
    for _ in range(40):
        query = store.vectors[rng.integers(COUNT)] + 0.2 * rng.standard_normal(20)
        best = best_positions(store.vectors @ query.astype(np.float32), 50)
        found = index.candidates(query.astype(np.float32), 50)
        assert len(np.unique(found)) == len(found)
        shares.append(np.isin(best, found).mean())
    assert np.mean(shares) >= 0.97


@pytest.mark.parametrize("shift", [-math.inf, -1.0, 0.0, 2.0, math.inf])
@pytest.mark.parametrize("share", [None, 0.5, 0.05])
def test_a_search_gives_what_exact_search_gives(built, monkeypatch, shift, share):
    """Slider, split, percentiles, exclusions and filters; missing pictures are few."""
    monkeypatch.setattr(weight_sweep, "_FEW_SELECTED", 20)
    store, index = built
    selected = None if share is None else np.random.default_rng(2).random(COUNT) < share
    options = {"excluded": [7, 8, 9], "selected": selected}
    shared = 0
    for seed in range(6):
        query = made_query(seed)
        swift = WeightSweep(query, store.vectors, store.ids, **options, index=index)
        exact = WeightSweep(query, store.vectors, store.ids, **options)
        hits = {hit.id: hit for hit in swift.hits(shift, 50)}
        expected = {hit.id: hit for hit in exact.hits(shift, 50)}
        assert len(hits) == len(expected)
        assert not {"g7", "g8", "g9"} & set(hits)
        if selected is not None:
            assert all(selected[store.position(id)] for id in hits)
        for id in hits.keys() & expected.keys():
            shared += 1
            assert hits[id].score == pytest.approx(expected[id].score, abs=1e-5)
            assert hits[id].parts == pytest.approx(expected[id].parts, abs=1e-5)
            assert hits[id].percentile == pytest.approx(expected[id].percentile, abs=0.5)
            assert sum(hits[id].parts.values()) == pytest.approx(hits[id].score, abs=1e-5)
    assert shared >= 0.97 * 6 * 50


def test_threads_share_an_index(built):
    store, index = built
    queries = [store.vectors[n] for n in range(40)]
    masks = [None if n % 2 else np.arange(COUNT) % 3 == n % 3 for n in range(40)]

    def search(n):
        return np.sort(index.candidates(queries[n], 10, masks[n])).tolist()

    alone = [search(n) for n in range(40)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(search, range(40))) == alone


def test_an_opened_index_answers_as_the_built_one(built):
    store, index = built
    opened = FaissIndex.open(store)
    assert opened.description == index.description
    for position in (0, 77, COUNT - 1):
        query = store.vectors[position]
        assert opened.candidates(query, 20).tolist() == index.candidates(query, 20).tolist()
    assert not [file for file in store.path.iterdir() if "partial" in file.name]


def test_any_flipped_bit_or_cut_is_noticed(copy):
    path = copy / FILE
    sound = path.read_bytes()
    store = Store.open(copy)
    rng = np.random.default_rng(0)
    tail = range(len(sound) - 400, len(sound), 7)  # the description and what follows it
    for place in [0, 40, *rng.integers(0, len(sound), 60).tolist(), *tail]:
        damaged = bytearray(sound)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        with pytest.raises(StoreError, match="Delete it, or build it again"):
            check_index(store)
    for length in (0, 3, len(sound) // 2, len(sound) - 1):
        path.write_bytes(sound[:length])
        with pytest.raises(StoreError, match="is damaged"):
            FaissIndex.open(store)
    path.unlink()
    assert not check_index(store)
    with pytest.raises(StoreError, match="there is no index"):
        FaissIndex.open(store)


@pytest.mark.slow
def test_the_index_of_other_vectors_is_refused_and_built_again(copy, gallery, caplog):
    vectors, _ = gallery
    with StoreWriter(copy, MODEL, {"kind": "folder", "folder": "/nowhere"}, "/nowhere") as writer:
        writer.append([StoredImage("new", "new", "new", 1, 1, 0)], vectors[:1] * 0.5)
        writer.finish()
    store = Store.open(copy)
    with pytest.raises(StoreError, match="built from other vectors"):
        FaissIndex.open(store)
    with caplog.at_level(logging.INFO):
        index = open_index("faiss", store)
    assert "Building it" in caplog.text
    assert index.description.count == COUNT + 1
    assert FaissIndex.open(store).description == index.description


def test_moved_pictures_keep_the_index(copy):
    with StoreWriter(copy, MODEL, {"kind": "folder", "folder": "/nowhere"}, "/nowhere") as writer:
        writer.rename({"g3": "renamed"})
        writer.finish()
    assert FaissIndex.open(Store.open(copy))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_has_an_index_in_memory(copy, caplog):
    (copy / FILE).unlink()
    store = Store.open(copy)
    copy.chmod(0o500)
    try:
        assert FaissIndex.build(store).candidates(store.vectors[5], 1).tolist().count(5) == 1
    finally:
        copy.chmod(0o700)
    assert "built again when it is next needed" in caplog.text


@pytest.mark.slow
def test_a_failed_write_leaves_the_former_file(copy, monkeypatch, caplog):
    before = (copy / FILE).read_bytes()

    def fail(path, description):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(faiss_index, "_append_description", fail)
    FaissIndex.build(Store.open(copy))
    assert (copy / FILE).read_bytes() == before
    assert "No space left on device" in caplog.text
    assert sorted(file.name for file in copy.iterdir() if "faiss" in file.name) == [FILE]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "large", "installed", "build", "expected"),
    [
        ("exact", True, True, True, None),
        ("auto", False, True, True, None),
        ("auto", True, False, True, None),
        ("auto", True, True, False, None),
        ("auto", True, True, True, "faiss"),
        ("faiss", False, True, False, "faiss"),
    ],
)
def test_the_program_chooses(copy, monkeypatch, name, large, installed, build, expected):
    (copy / FILE).unlink()
    monkeypatch.setattr(search_index, "LARGE_GALLERY", COUNT if large else COUNT + 1)
    if not installed:
        monkeypatch.setattr(search_index, "find_spec", lambda name: None)
    index = open_index(name, Store.open(copy), build)
    assert (index and index.name) == expected
    assert (copy / FILE).exists() == (expected is not None)


def test_an_index_that_is_there_is_used_without_building(copy, monkeypatch):
    monkeypatch.setattr(search_index, "LARGE_GALLERY", COUNT)
    assert open_index("auto", Store.open(copy), build=False).name == "faiss"


def test_small_galleries_and_parts_of_stores_are_searched_exactly(built, gallery, tmp_path):
    store, _ = built
    assert open_index("faiss", store.restrict(store.ids[:2_000])) is None
    vectors, ids = gallery
    assert open_index("faiss", write_store(tmp_path / "small", vectors[:900], ids[:900])) is None


def test_unknown_and_missing_indexes_say_what_to_do(built, monkeypatch):
    store, _ = built
    with pytest.raises(QueryError, match=r"no index 'annoy'. Choose one: auto, exact or faiss"):
        open_index("annoy", store)
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    with pytest.raises(DWCError, match=r"pip install 'dwc\[faiss\]'"):
        open_index("faiss", store)


def test_a_store_is_updated_with_its_index_beside_it(copy):
    """A writer neither refuses the folder nor deletes the file."""
    with StoreWriter(copy, MODEL, {"kind": "folder", "folder": "/nowhere"}, "/nowhere") as writer:
        writer.finish()
    assert check_index(Store.open(copy))


# Why FAISS's own refinement and HNSW are not used. If one of these fails with another version, the
# library was mended there.


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(3).standard_normal((3_000, 16)).astype(np.float32)


def test_a_selector_in_the_parameters_of_a_refined_index_is_ignored(points):
    index = faiss.IndexRefineFlat(faiss.IndexFlatL2(16))
    index.add(points)
    selector = faiss.IDSelectorRange(0, 10)
    _, ignored = index.search(
        points[:5], 20, params=faiss.IndexRefineSearchParameters(sel=selector)
    )
    assert (ignored >= 10).any()
    _, inner = index.search(
        points[:5],
        20,
        params=faiss.IndexRefineSearchParameters(
            base_index_params=faiss.SearchParameters(sel=selector)
        ),
    )
    assert (inner < 10).all()


def test_search_parameters_of_a_refined_index_reset_its_factor(points):
    index = faiss.IndexRefineFlat(faiss.IndexPQ(16, 4, 4))
    index.train(points)
    index.add(points)
    index.k_factor = 40
    best = np.argsort(((points[:50, None] - points) ** 2).sum(-1), axis=1)[:, :10]

    def recall(**options):
        _, found = index.search(points[:50], 10, **options)
        return np.mean([np.isin(row, f).mean() for row, f in zip(best, found, strict=True)])

    assert faiss.IndexRefineSearchParameters().k_factor == 1
    assert recall(params=faiss.IndexRefineSearchParameters()) < 0.7 * recall()
    parameters = faiss.IndexRefineSearchParameters(k_factor=40)
    assert recall(params=parameters) == recall()


@pytest.mark.slow
def test_search_parameters_of_hnsw_reset_its_breadth(points):
    index = faiss.IndexHNSWFlat(16, 8)
    index.add(points)
    index.hnsw.efSearch = 300
    selector = faiss.IDSelectorAll()
    assert faiss.SearchParametersHNSW(sel=selector).efSearch == 16
    _, broad = index.search(points, 10)
    _, narrow = index.search(points, 10, params=faiss.SearchParametersHNSW(sel=selector))
    _, again = index.search(
        points, 10, params=faiss.SearchParametersHNSW(sel=selector, efSearch=300)
    )
    assert (narrow != broad).any()
    assert (again == broad).all()


def test_selected_positions_and_probes_hold_together_in_the_index_that_is_used(built):
    """The parameters that are used: neither the selector nor the number of clusters is lost."""
    store, index = built
    mask = np.arange(COUNT) % 10 == 0
    found = index.candidates(store.vectors[3], 50, mask)
    assert mask[found].all()
    best = best_positions(store.vectors @ store.vectors[3], 50, (), mask)
    assert np.isin(best, found).mean() >= 0.9
    before = index._index
    wide = faiss_index._search(faiss, before, store.vectors[:1], 3_000, 64, None)[0]
    narrow = faiss_index._search(faiss, before, store.vectors[:1], 3_000, 1, None)[0]
    assert len(narrow) < len(wide)


def test_a_missing_package_is_told_before_anything_is_embedded(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(DWCError, match=r"pip install 'dwc\[faiss\]'"):
        check_index_name("faiss")
    assert check_index_name("auto") == "auto"
