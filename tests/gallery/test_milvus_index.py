"""Searches in Milvus Lite, and in its server by http: the answers of exact search."""

import argparse
import gc
import logging
import math
import random
import shlex
import socket
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from dwc.commands import index as index_command
from dwc.errors import StoreError
from dwc.gallery import milvus_connection, milvus_index
from dwc.gallery.filters import (
    AllOf,
    AnyOf,
    Comparison,
    Membership,
    Missing,
    Not,
    find_matching,
    format_filter,
    parse_filter,
)
from dwc.gallery.milvus_connection import MilvusConnection
from dwc.gallery.milvus_index import GALLERIES, MilvusIndex, OutdatedIndexError, collection_name
from dwc.gallery.search_index import best_positions, open_index, verify_index
from dwc.gallery.store import ModelIdentity, Store
from dwc.search import weight_sweep
from dwc.search.results import NearDuplicates
from dwc.search.weight_sweep import WeightSweep
from tests.fork_server import PYTHON
from tests.gallery.made_store import write_store
from tests.search.made import made_gallery, made_query
from tests.search.test_candidate_index import same_hits

pytest.importorskip("pymilvus")
pytest.importorskip("milvus_lite")

COUNT = 600
TYPES = {"category": "text", "price": "number", "new": "boolean", "note": "text"}
CATEGORIES = ["dress", "Dress", "polo shirt", 'say "so"', "back\\slash", "it's", "été ☃ 😀",
              "%_{x}", "", "=dress", "line\nbreak", "y" * 700, "and not (c0)"]  # fmt: skip
PRICES = [0.0, -0.0, 0.1, math.nextafter(0.1, 1), 50.0, math.nextafter(50, 0), -3.5, 1e300, -1e300,
          1e-320, 2.0**53]  # fmt: skip


def made_metadata(count, seed=0):
    """Values that are easily confused, a third of them missing; some pictures have no row."""
    rng = random.Random(seed)
    values = (CATEGORIES, PRICES, [True, False], ["a", "b"])
    return [
        None
        if rng.random() < 0.1
        else tuple(None if rng.random() < 0.3 else rng.choice(column) for column in values)
        for _ in range(count)
    ]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stores") / "store"
    return write_store(folder, *made_gallery(COUNT), TYPES, made_metadata(COUNT))


@pytest.fixture(scope="module")
def index(store, tmp_path_factory):
    """An index that was written, closed, and opened again."""
    location = str(tmp_path_factory.mktemp("milvus") / "m.db")
    MilvusIndex.update(location, store).close()
    index = MilvusIndex.open(location, store)
    yield index
    index.close()


@pytest.fixture
def location(tmp_path):
    return str(tmp_path / "milvus.db")


@pytest.fixture(autouse=True)
def small_limits(monkeypatch):
    """Use the index for few pictures too."""
    monkeypatch.setattr(weight_sweep, "_FEW_SELECTED", 0)
    monkeypatch.setattr(weight_sweep, "_LARGE_SHARE", 1.0)


def forbid_exact_search(monkeypatch):
    def of_all(self):
        raise AssertionError("all vectors are read")

    monkeypatch.setattr(weight_sweep._DotProducts, "of_all", of_all)


FILTERS = ["", "category = dress", "category != dress", "not price < 50", "price is missing",
           "new = false or not (new = true)", "note not in (a)"]  # fmt: skip


@pytest.mark.parametrize("shift", [-math.inf, -1.0, 0.0, 2.0, math.inf])
@pytest.mark.parametrize("text", FILTERS)
def test_a_search_gives_what_exact_search_gives(store, index, monkeypatch, shift, text):
    condition = parse_filter(text, store.metadata)
    selected = None if condition is None else find_matching(condition, store.metadata)
    options = {"excluded": [7, 8, 9], "selected": selected}
    cases = [(made_query(seed, joint=seed == 1), k) for seed in range(2) for k in (1, 30)]
    exact = [WeightSweep(query, store.vectors, store.ids, **options) for query, _ in cases]
    duplicates = NearDuplicates(store.vectors, store.ids)
    expected = [sweep.hits(shift, k) for sweep, (_, k) in zip(exact, cases, strict=True)]
    folded = [sweep.hits(shift, k, duplicates) for sweep, (_, k) in zip(exact, cases, strict=True)]
    forbid_exact_search(monkeypatch)
    for (query, k), hits, groups in zip(cases, expected, folded, strict=True):
        swift = WeightSweep(
            query, store.vectors, store.ids, **options, index=index, condition=condition
        )
        same_hits(swift.hits(shift, k), hits)
        same_hits(swift.hits(shift, k, duplicates), groups)
        assert swift.weights(shift).keys() == {"clip", "cnn"}


def random_filter(rng, depth):
    if depth and rng.random() < 0.7:
        if rng.random() < 0.4:
            return Not(random_filter(rng, depth - 1))
        parts = tuple(random_filter(rng, depth - 1) for _ in range(rng.randint(2, 3)))
        return rng.choice((AllOf, AnyOf))(parts)
    column = rng.choice(list(TYPES))
    if rng.random() < 0.2:
        return Missing(column)
    if column == "price":
        if rng.random() < 0.6:
            return Comparison(column, rng.choice(("<", "<=", ">", ">=")), rng.choice(PRICES))
        return Membership(column, tuple(rng.sample(PRICES, 2)))
    if column == "new":
        return Membership(column, tuple(rng.sample((True, False), rng.randint(1, 2))))
    return Membership(column, tuple(rng.sample([*CATEGORIES, "a", "none"], rng.randint(1, 3))))


def test_every_kind_of_filter_and_its_negation_select_the_same_pictures(store, index):
    rng = random.Random(3)
    filters = [Missing(column) for column in TYPES]
    filters += [Membership("category", (text,)) for text in CATEGORIES]
    filters += [Comparison("price", op, price) for op in ("<", "<=", ">", ">=") for price in PRICES]
    filters += [Membership("price", (price,)) for price in PRICES]
    filters += [random_filter(rng, 3) for _ in range(40)]
    query = store.vectors[5]
    for filter in [f for one in filters for f in (one, Not(one))]:
        selected = find_matching(filter, store.metadata)
        k = max(1, int(selected.sum()))
        found = index.candidates(query, k, selected, filter)
        assert sorted(found.tolist()) == np.flatnonzero(selected).tolist(), format_filter(filter)


def test_equal_scores_are_ordered_as_by_exact_search(tmp_path, location, monkeypatch):
    """The first of 300 equal pictures come first, whichever of them Milvus returns."""
    vectors, ids = made_gallery(COUNT)
    vectors[100:400] = vectors[3]
    store = write_store(tmp_path / "store", vectors, ids)
    index = MilvusIndex.update(location, store)
    best = best_positions(vectors @ vectors[3], 20)
    assert best[:2].tolist() == [3, 100]
    found = index.candidates(vectors[3], 20)
    assert np.isin(best, found).all()
    assert len(found) >= 301
    monkeypatch.setattr(milvus_index, "MAX_RESULTS", 200)  # fewer than there are equal ones
    assert len(index.candidates(vectors[3], 20)) == 0
    assert len(index.candidates(vectors[3], 201)) == 0
    index.close()


def test_threads_share_an_index(store, index):
    def search(n):
        return sorted(index.candidates(store.vectors[n], 5).tolist())

    alone = [search(n) for n in range(24)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(search, range(24))) == alone


def test_an_update_writes_only_what_changed(tmp_path, location):
    vectors, ids = made_gallery(COUNT)
    rows = made_metadata(COUNT)
    store = write_store(tmp_path / "store", vectors, ids, TYPES, rows)
    first = MilvusIndex.update(location, store)
    assert (first.written, first.removed) == (COUNT, 0)
    assert first.summary() == "milvus, 600 rows written, 0 removed"
    unchanged = MilvusIndex.update(location, store)
    assert (unchanged.written, unchanged.removed) == (0, 0)

    added, _ = made_gallery(5, seed=9)
    vectors = np.concatenate([added, vectors[10:]])
    vectors[50] = vectors[51]  # a picture that was embedded again
    ids = [*(f"n{n}" for n in range(5)), *ids[10:]]
    rows = [*rows[5:10], *rows[10:]]
    rows[80] = ("skirt", 3.0, True, "a")
    changed = write_store(tmp_path / "store", vectors, ids, TYPES, rows)
    assert len(first.candidates(store.vectors[0], 5)) >= 5  # the rows are still the former store's
    second = MilvusIndex.update(location, changed)
    assert (second.written, second.removed) == (7, 10)
    second.verify()
    for seed in range(3):
        query = made_query(seed)
        swift = WeightSweep(query, changed.vectors, changed.ids, index=second)
        same_hits(
            swift.hits(0.0, 20), WeightSweep(query, changed.vectors, changed.ids).hits(0.0, 20)
        )
    for index in (first, unchanged, second):
        index.close()


def test_rows_of_another_state_are_not_used(tmp_path, location, caplog):
    """An index that is open while the rows change searches exactly, and says so once."""
    vectors, ids = made_gallery(COUNT)
    store = write_store(tmp_path / "store", vectors, ids)
    index = MilvusIndex.update(location, store)
    changed = write_store(tmp_path / "changed", vectors[5:], ids[5:])
    MilvusIndex.update(location, changed).close()
    sweep = WeightSweep(made_query(), store.vectors, store.ids, index=index)
    same_hits(sweep.hits(0.0, 9), WeightSweep(made_query(), store.vectors, store.ids).hits(0.0, 9))
    assert len(index.candidates(vectors[3], 5)) == 0
    assert caplog.text.count("has other rows than the store. Update it: python -m dwc index") == 1
    MilvusIndex.update(location, store).close()
    assert np.isin(3, index.candidates(vectors[3], 5))  # used again as soon as they fit
    assert open_index(location, changed, build=False) is None
    assert "The store is searched exactly" in caplog.text
    index.close()


def test_another_model_has_rows_of_its_own(tmp_path, location):
    vectors, ids = made_gallery(COUNT)
    other = ModelIdentity("ba9876543210", "other", None, {"clip": 8, "cnn": 12})
    store = write_store(tmp_path / "store", vectors, ids)
    theirs = write_store(tmp_path / "theirs", -vectors, ids, model=other)
    index = MilvusIndex.update(location, store)
    with pytest.raises(OutdatedIndexError, match="has no rows of this gallery and model"):
        MilvusIndex.open(location, theirs)
    assert open_index(location, theirs, build=False) is None
    second = MilvusIndex.update(location, theirs)
    assert second.written == COUNT
    for made, at in ((index, store), (second, theirs)):
        best = best_positions(at.vectors @ vectors[3], 5)
        assert np.isin(best, made.candidates(vectors[3], 5)).all()
        made.verify()
        made.close()


def test_the_advice_is_a_command_that_updates_the_rows(tmp_path, location):
    vectors, ids = made_gallery(20)
    source = {"kind": "folder", "folder": "/nowhere", "exclude": ["my drafts/", "*.gif"]}
    store = write_store(tmp_path / "a store", vectors, ids, source=source)
    with pytest.raises(OutdatedIndexError) as raised:
        MilvusIndex.open(location, store)
    command = shlex.split(str(raised.value).partition("Update it: ")[2])
    assert command[:4] == ["python", "-m", "dwc", "index"]
    parser = argparse.ArgumentParser()
    index_command.configure(parser)
    args = parser.parse_args(command[4:])
    assert (args.source, args.model, args.exclude) == ("/nowhere", "made", ["my drafts/", "*.gif"])
    assert (args.out, args.index) == (str(tmp_path / "a store"), location)


def test_searching_creates_no_folder(store, location, caplog):
    assert open_index(location, store, build=False) is None
    assert "does not exist. Update it" in caplog.text
    assert not Path(location).exists()


def test_two_galleries_are_in_one_file(tmp_path, location):
    vectors, ids = made_gallery(COUNT)
    sources = [{"kind": "folder", "folder": f"/{name}"} for name in ("first", "second")]
    first = write_store(tmp_path / "a", vectors, ids, source=sources[0])
    second = write_store(tmp_path / "b", vectors[:50] * 0.9, ids[:50], source=sources[1])
    indexes = [MilvusIndex.update(location, store) for store in (first, second)]
    assert indexes[0].collection != indexes[1].collection
    assert np.isin(599, indexes[0].candidates(vectors[599], 3))
    assert indexes[1].candidates(vectors[599], 50).max() == 49
    indexes[0].close()
    assert len(indexes[1].candidates(vectors[0], 3)) >= 3  # closing one leaves the other open
    indexes[1].close()


def test_metadata_columns_that_change_are_written_anew(tmp_path, location):
    vectors, ids = made_gallery(COUNT)
    rows = made_metadata(COUNT)
    MilvusIndex.update(location, write_store(tmp_path / "s", vectors, ids, TYPES, rows)).close()
    types = {"price": "number", "category": "text"}
    rows = [row and (row[1], row[0]) for row in rows]
    store = write_store(tmp_path / "s", vectors, ids, types, rows)
    index = MilvusIndex.update(location, store)
    assert index.written == COUNT
    filter = parse_filter("category = dress and not price < 50", store.metadata)
    selected = find_matching(filter, store.metadata)
    found = index.candidates(vectors[0], 300, selected, filter)
    assert sorted(found.tolist()) == np.flatnonzero(selected).tolist()
    index.close()


@pytest.mark.parametrize("step", ["_create", "_upsert", "_flush", "_require_writer"])
def test_an_interrupted_update_is_not_used_and_goes_on(tmp_path, location, monkeypatch, step):
    vectors, ids = made_gallery(COUNT)
    monkeypatch.setattr(milvus_index, "_BATCH_BYTES", 4 * 20 * 100)  # a hundred rows
    old = write_store(tmp_path / "store", vectors[:300], ids[:300])
    MilvusIndex.update(location, old).close()
    types = {"new": "boolean"} if step == "_create" else None  # the rows need other fields
    store = write_store(tmp_path / "store", vectors, ids, types, [(True,)] * COUNT)
    real = getattr(MilvusIndex, step)
    calls = []

    def interrupt(self, *args):
        calls.append(step)
        if len(calls) == (1 if step in ("_create", "_flush") else 2):
            raise KeyboardInterrupt
        return real(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(MilvusIndex, step, interrupt)
        with pytest.raises(KeyboardInterrupt):
            MilvusIndex.update(location, store)
    with pytest.raises(OutdatedIndexError, match="is being updated, or an update was interrupted"):
        MilvusIndex.open(location, store)
    assert open_index(location, old, build=False) is None
    index = MilvusIndex.update(location, store)
    written = {"_create": 600, "_upsert": 200, "_flush": 0, "_require_writer": 200}
    assert index.written == written[step]
    index.verify()
    index.close()


KILLED = """
    import sys
    from dwc.gallery import milvus_index
    from dwc.gallery.store import Store

    milvus_index._BATCH_BYTES = 4 * 20 * 20
    real = milvus_index.MilvusIndex._upsert

    def upsert(self, client, rows):
        real(self, client, rows)
        print("written", flush=True)

    milvus_index.MilvusIndex._upsert = upsert
    milvus_index.MilvusIndex.update(sys.argv[1], Store.open(sys.argv[2]))
"""


@pytest.mark.slow
def test_a_killed_update_goes_on(tmp_path, location):
    store = write_store(tmp_path / "store", *made_gallery(COUNT))
    child = subprocess.Popen(
        [*PYTHON, "-c", textwrap.dedent(KILLED), location, str(store.path)],
        cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    for _ in range(5):
        assert child.stdout.readline() == "written\n"
    child.kill()
    child.communicate()
    assert open_index(location, store, build=False) is None
    index = MilvusIndex.update(location, store)
    assert 0 < index.written <= COUNT - 100
    index.verify()
    index.close()


def test_two_updates_at_once_do_not_both_succeed(tmp_path, location, monkeypatch):
    vectors, ids = made_gallery(COUNT)
    store = write_store(tmp_path / "store", vectors, ids)
    other = write_store(tmp_path / "other", vectors[:90], ids[:90])
    real = MilvusIndex._upsert

    def interfere(self, client, rows):
        real(self, client, rows)
        if len(rows) == COUNT:
            MilvusIndex.update(location, other).close()

    monkeypatch.setattr(MilvusIndex, "_upsert", interfere)
    with pytest.raises(StoreError, match=r"has 90 rows|another process is updating"):
        MilvusIndex.update(location, store)
    with pytest.raises(OutdatedIndexError):
        MilvusIndex.open(location, store)
    index = MilvusIndex.open(location, other)
    index.verify()
    index.close()


def test_damaged_rows_are_found_by_the_check(tmp_path, location):
    vectors, ids = made_gallery(COUNT)
    store = write_store(tmp_path / "store", vectors, ids)
    index = MilvusIndex.update(location, store)
    verify_index(location, store)
    row = index._rows.encode([4])[0]

    def damage(client):
        client.upsert(index.collection, [{**row, "vector": vectors[5]}])

    index._connection.call(damage)
    with pytest.raises(StoreError, match="the vector of 'g4' is not the store's"):
        verify_index(location, store)
    index._connection.call(lambda client: client.delete(index.collection, ids=[row["key"]]))
    with pytest.raises(StoreError, match="1 rows are missing or differ"):
        verify_index(location, store)
    index._connection.call(lambda client: client.drop_collection(index.collection))
    with pytest.raises(StoreError, match="has lost the rows"):
        verify_index(location, store)
    assert len(index.candidates(vectors[0], 3)) == 0  # searched exactly
    rebuilt = MilvusIndex.update(location, store)
    assert rebuilt.written == COUNT
    assert np.isin(0, index.candidates(vectors[0], 3))
    rebuilt.close()
    index.close()


def test_a_scan_reads_every_row_once_in_ranges_of_any_density(store, index):
    for limit in (7, 100, 16_384):
        keys = [row["key"] for rows in index._scan(["key"], limit) for row in rows]
        assert sorted(keys) == sorted(index._rows.keys.tolist())


def release(location):
    from milvus_lite.server_manager import server_manager_instance

    server_manager_instance.release_server(location)


def test_a_lost_connection_to_milvus_lite_is_made_again(store, location):
    index = MilvusIndex.update(location, store)
    before = sorted(index.candidates(store.vectors[3], 5).tolist())
    release(location)
    assert sorted(index.candidates(store.vectors[3], 5).tolist()) == before
    release(location)
    assert MilvusIndex.update(location, store).written == 0
    index.close()


def test_closing_releases_the_folder_for_other_processes(store, location):
    code = f"from pymilvus import MilvusClient; MilvusClient({location!r}); print('open')"

    def opens():
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        return done.stdout.strip() == "open"

    index, second = MilvusIndex.update(location, store), MilvusIndex.open(location, store)
    assert not opens()
    index.close()
    index.close()
    assert not opens()
    with pytest.raises(StoreError, match="the connection was closed"):
        index.verify()
    del second  # as when a model is unloaded
    gc.collect()
    assert opens()


def test_a_folder_that_another_process_has_open_is_refused_with_a_cure(store, location, capfd):
    code = f"""
        from pymilvus import MilvusClient
        MilvusClient({location!r})
        print("open", flush=True)
        input()
    """
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert child.stdout.readline() == b"open\n"
        with pytest.raises(StoreError, match=r"another process has it open\. End that process"):
            open_index(location, store)
        assert "Traceback" not in capfd.readouterr().err
    finally:
        child.communicate(b"\n")
    MilvusIndex.update(location, store).close()


@contextmanager
def served(folder, port):
    """Milvus Lite as a server of its own, at http://127.0.0.1:PORT."""
    from milvus_lite.adapter.grpc.server import start_server_in_thread

    server, database, bound = start_server_in_thread(str(folder), port=port)
    assert bound == port
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop(grace=1).wait()
        database.close()


@pytest.fixture
def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_a_server_is_searched_and_its_loss_is_said_and_recovered(store, tmp_path, port, caplog):
    filter = parse_filter("not category = dress", store.metadata)
    selected = find_matching(filter, store.metadata)
    with served(tmp_path / "data", port) as address:
        index = open_index(address, store)
        assert index.written == COUNT
        expected = best_positions(store.vectors @ store.vectors[3], 20, (), selected)
        assert np.isin(expected, index.candidates(store.vectors[3], 20, selected, filter)).all()
    with pytest.raises(StoreError, match=r"Milvus does not answer.* --index exact") as raised:
        index.candidates(store.vectors[3], 20)
    assert "127.0.0.1" not in str(raised.value)
    assert f"http://127.0.0.1:{port}: the Milvus server does not answer" in caplog.text
    with pytest.raises(StoreError, match=f"http://127.0.0.1:{port}: the Milvus server"):
        open_index(address, store, build=False)
    with served(tmp_path / "data", port):
        assert np.isin(expected, index.candidates(store.vectors[3], 20, selected, filter)).all()
        assert open_index(address, store, build=False).written == 0
        index.close()


class BrokenClient:
    """A stand-in for a client: every request fails until `failures` have."""

    def __init__(self, client, failures):
        self._client, self._failures = client, failures

    def __getattr__(self, name):
        real = getattr(self._client, name)

        def request(*args, **options):
            if name != "close" and self._failures:
                raise self._failures.pop()
            return real(*args, **options)

        return request


@pytest.mark.parametrize(
    "error", [ConnectionError("gone"), ValueError("closed channel"), OSError(5)]
)
def test_a_request_is_repeated_once_and_then_an_error(store, location, monkeypatch, caplog, error):
    index = MilvusIndex.update(location, store)
    best = best_positions(store.vectors @ store.vectors[3], 5)
    index._connection._opened.client = BrokenClient(index._connection._opened.client, [error])
    assert np.isin(best, index.candidates(store.vectors[3], 5)).all()
    tries = []

    def refuse(location):
        tries.append(location)
        raise error

    index._connection._opened.client = BrokenClient(index._connection._opened.client, [error])
    monkeypatch.setattr(milvus_connection, "open_client", refuse)
    with pytest.raises(StoreError, match="Try again later") as raised:
        index.candidates(store.vectors[3], 5)
    assert location not in str(raised.value)
    assert "Milvus Lite fails" in caplog.text
    assert len(tries) == 1
    index.close()


def test_a_server_gets_the_token_and_messages_do_not(monkeypatch):
    """A stand-in for pymilvus: no server with users is here."""
    import pymilvus

    opened = []

    class Client:
        def __init__(self, location, **options):
            opened.append((location, options["token"]))
            raise pymilvus.MilvusException(code=65535, message="auth check failure\nsecret")

    monkeypatch.setattr(pymilvus, "MilvusClient", Client)
    monkeypatch.setenv("DWC_INDEX_TOKEN", "me:secret")
    with pytest.raises(StoreError, match="or check the address and DWC_INDEX_TOKEN") as raised:
        MilvusConnection("https://me:secret@host:19530/shop", lambda client: None)
    assert opened == [("https://me:secret@host:19530/shop", "me:secret")]
    assert "secret" not in str(raised.value)
    assert "https://host:19530/shop: the Milvus server" in str(raised.value)


def test_the_list_of_galleries_is_what_the_docs_say(store, index):
    rows = index._connection.call(lambda c: c.query(GALLERIES, filter="name != ''", limit=9))
    assert [row["name"] for row in rows] == [collection_name(store)]
    assert rows[0]["state"] == "complete"


def test_a_wrong_selection_by_milvus_is_noticed(store, index, caplog):
    """If the expression selected other pictures than the filter, they are all compared."""
    filter = parse_filter("category = dress", store.metadata)
    wrong = ~find_matching(filter, store.metadata)
    with caplog.at_level(logging.WARNING):
        assert len(index.candidates(store.vectors[0], 5, wrong, filter)) == 0
    assert "selects other pictures" in caplog.text
    assert len(index.candidates(store.vectors[0], 5, wrong)) == 0  # no filter is known


def test_moved_stores_keep_their_rows(store, index, tmp_path):
    """The rows belong to gallery and model, wherever the store is."""
    copied = tmp_path / "copied"
    copied.mkdir()
    for file in store.path.iterdir():
        if file.is_file():
            (copied / file.name).write_bytes(file.read_bytes())
    moved = Store.open(copied)
    assert collection_name(moved) == collection_name(store)
    index._connection.call(MilvusIndex.open(index._connection.location, moved)._require_current)
