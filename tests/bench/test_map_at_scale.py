"""What it costs, once, to lay 100,000 pictures out as a map."""

import time

import numpy as np
import pytest

from dwc.gallery.projection import project
from tests.bench.measuring import tell

pytestmark = pytest.mark.bench

PICTURES, LENGTH, KINDS = 100_000, 512, 60
MOST_S = 120


def test_laying_out_a_map():
    rng = np.random.default_rng(0)
    kinds = rng.standard_normal((KINDS, LENGTH), dtype=np.float32)
    rows = kinds[rng.integers(0, KINDS, PICTURES)]
    rows += 0.5 * rng.standard_normal((PICTURES, LENGTH), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    start = time.perf_counter()
    projection = project(rows)
    seconds = time.perf_counter() - start
    tell(
        f"a map of {PICTURES:,} pictures, {projection.laid_out:,} of them landmarks",
        f"{seconds:.0f} s",
        f"at most {MOST_S} s",
    )
    assert len(projection.positions) == PICTURES
    assert seconds <= MOST_S
