"""Indexing that is killed fifty times at random moments ends like one that was left alone."""

import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dwc.errors import StoreError
from dwc.gallery.parts import parts_folder
from dwc.gallery.store import DATABASE, LOCK, Store, thumbnail_file, vector_file
from tests.bench.killed_index import index
from tests.bench.measuring import tell
from tests.gallery.conftest import make_old

pytestmark = pytest.mark.bench

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("DWC_KILLS", "50"))
PICTURES = 400
LONGEST_SECONDS = 0.6  # of a run before it is killed, beyond its start


def draw(photos, number, rng):
    """Save a picture of random color and size."""
    color = tuple(rng.randrange(256) for _ in range(3))
    folder = photos / f"f{number % 7}"
    folder.mkdir(parents=True, exist_ok=True)
    suffix = ("png", "webp", "jpg", "bmp")[number % 4]
    size = (20 + number % 50, 20 + number % 30)
    Image.new("RGB", size, color).save(folder / f"p{number:04}.{suffix}")


def change(photos, attempt, rng):
    """Remove, replace, move, copy and add pictures between two runs."""
    files = sorted(file for file in photos.rglob("*") if file.is_file())
    for file in rng.sample(files, 6):
        file.unlink()
    files = [file for file in files if file.exists()]
    for file in rng.sample(files, 6):
        Image.new("RGB", (31, 33), tuple(rng.randrange(256) for _ in range(3))).save(file)
    for file in rng.sample(files, 6):
        file.rename(file.with_name(f"moved-{attempt}-{file.name}"))
    files = [file for file in files if file.exists()]
    for file in rng.sample(files, 3):
        file.with_name(f"copy-{attempt}-{file.name}").write_bytes(file.read_bytes())
    for number in range(12):
        draw(photos, PICTURES + 12 * attempt + number, rng)


def kill_once(photos, out, options, rng):
    """Start an indexing and kill it at a random moment; return whether it ended before."""
    command = [sys.executable, "-m", "tests.bench.killed_index", str(photos), str(out), *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout.read(6) == b"begin\n"
        time.sleep(rng.uniform(0, LONGEST_SECONDS))
        has_ended = process.poll() is not None
        process.kill()
        process.wait()
    return has_ended


def rows_in(store, parts):
    """How many rows the store and each of its parts have; all of them must be sound."""
    counts = []
    for file in (store / DATABASE, *sorted(parts.glob(f"*/{DATABASE}"))):
        found, message = None, ""
        try:
            found = Store.open(file.parent)
        except StoreError as error:
            message = str(error)
        if found is None:
            assert re.search("is not a gallery store|nothing was indexed yet", message), message
        else:
            found.verify()
            counts.append(len(found))
    return tuple(counts)


def files_of(store):
    """The files that a store of these rows consists of."""
    return {
        store.path / DATABASE,
        store.path / LOCK,
        vector_file(store.path, store.manifest.generation),
        *(thumbnail_file(store.path, row.content_key) for row in store.rows),
    }


@pytest.mark.parametrize("options", [(), ("2",)], ids=["one process", "two processes"])
@pytest.mark.parametrize("changes", [False, True], ids=["the same pictures", "changing pictures"])
def test_fifty_kills_leave_the_store_of_an_indexing_without_any(tmp_path, options, changes):
    rng = random.Random(f"{options} {changes}")
    photos, out = tmp_path / "photos", tmp_path / "store"
    for number in range(PICTURES):
        draw(photos, number, rng)
    make_old(photos)
    kills = rounds = 0
    places = set()  # how many rows there were after each kill, in the store and its parts
    start = time.monotonic()
    while kills < KILLS:
        out = tmp_path / f"store-{rounds}"
        if kill_once(photos, out, options, rng):
            rounds += 1 if not changes else 0
        else:
            kills += 1
        places.add(rows_in(out, parts_folder(out)))
        if changes:
            change(photos, kills, rng)
    index(photos, out, *map(int, options))
    index(photos, tmp_path / "alone", 0)
    store, alone = Store.open(out), Store.open(tmp_path / "alone")
    store.check()
    positions = [store.position(id) for id in alone.ids]
    assert len(store) == len(alone)
    if not changes:
        assert store.ids == alone.ids
    np.testing.assert_array_equal(store.vectors[positions], alone.vectors)
    assert [store.rows[n] for n in positions] == alone.rows
    assert store.manifest.complete
    assert store.manifest.skipped == alone.manifest.skipped == {}
    left = {file for file in out.rglob("*") if file.is_file()}
    assert left == files_of(store)
    assert not parts_folder(out).exists()
    assert len(places) > KILLS // 5, "the kills fell at too few places to mean anything"
    tell(
        f"{kills} kills ({changes=}, {options=})",
        f"at {len(places)} places, {time.monotonic() - start:.0f} s",
        f"{len(store)} pictures, {len(left) - 3} thumbnails, nothing else",
    )
