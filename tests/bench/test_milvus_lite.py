"""Milvus Lite over 10,000 pictures, next to exact search: the same results, and what they cost.

The vectors are random: Milvus compares all of them, so the time does not depend on what they are.
"""

import os
import random
import time

import pytest

from dwc.gallery.filters import find_matching, parse_filter
from dwc.gallery.milvus_index import MilvusIndex
from dwc.gallery.store import ModelIdentity
from dwc.search import weight_sweep
from dwc.search.weight_sweep import WeightSweep
from tests.bench.measuring import in_turns, tell
from tests.gallery.made_store import write_store
from tests.search.made import made_gallery, made_query

pytestmark = pytest.mark.bench
pytest.importorskip("pymilvus")
pytest.importorskip("milvus_lite")

PICTURES = int(os.environ.get("DWC_MILVUS_PICTURES", "10000"))
WIDTHS = (256, 256)
MODEL = ModelIdentity("0123456789ab", "made", None, {"clip": 256, "cnn": 256})
RATIO = 30  # at most this many times the processor time of exact search
K = 50


def test_milvus_lite_next_to_exact_search(tmp_path, monkeypatch):
    monkeypatch.setattr(weight_sweep, "_FEW_SELECTED", 0)
    vectors, ids = made_gallery(PICTURES, WIDTHS)
    rng = random.Random(0)
    rows = [(rng.choice("abcdefghij"), 100 * rng.random()) for _ in ids]
    types = {"c": "text", "p": "number"}
    store = write_store(tmp_path / "store", vectors, ids, types, rows, MODEL)
    location = str(tmp_path / "milvus.db")
    start = time.process_time()
    MilvusIndex.update(location, store).close()
    written, start = time.process_time() - start, time.process_time()
    index = MilvusIndex.open(location, store)
    opened = time.process_time() - start
    condition = parse_filter("c in (a, b, c) and not p < 20", store.metadata)
    selected = find_matching(condition, store.metadata)
    queries = [made_query(seed, widths=WIDTHS) for seed in range(10)]
    ratios = []
    for name, mask, filter in (("all", None, None), ("filtered", selected, condition)):

        def search(engine, mask=mask, filter=filter):
            return [
                WeightSweep(query, store.vectors, ids, (), mask, engine, filter).hits(0.0, K)
                for query in queries
            ]

        def answer(engine, search=search):
            return [[hit.id for hit in hits] for hits in search(engine)]

        assert answer(index) == answer(None)
        compared = in_turns(
            lambda search=search: search(index),
            lambda search=search: search(None),
            rounds=3,
            clock=time.process_time,
        )
        ratios.append(compared.ratio)
        milvus_ms, exact_ms = (ms / len(queries) for ms in compared)
        tell(
            f"Milvus Lite, {PICTURES:,} pictures, {name}",
            f"{milvus_ms:.1f} ms, exact {exact_ms:.1f} ms",
            f"{RATIO} times",
        )
    tell("Milvus Lite, written and opened", f"{written:.1f} s, {opened:.2f} s", "")
    index.close()
    assert max(ratios) <= RATIO
