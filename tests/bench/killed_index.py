"""Indexes a gallery slowly, to be killed anywhere: `killed_index.py PHOTOS STORE [PROCESSES]`.

With a number of processes, it does one after the other what so many processes of a launch do.
"""

import os
import sys
import time
from pathlib import Path

from dwc.gallery import parts
from dwc.gallery.builder import update_store
from dwc.gallery.sources import FolderSource
from tests.gallery.embedding import IDENTITY, mean_colors

BATCH = 4


def embed(images):
    time.sleep(0.005)
    return mean_colors(images)


def index(photos, store, processes=0):
    """Index a gallery as `dwc index` does, with or without parts."""
    source = FolderSource(photos)
    if not processes and not parts.parts_folder(store).is_dir():
        update_store(source, embed, store, IDENTITY, BATCH, workers=1, prune=True)
        return
    with parts.locked_parts(store):
        parts.prepare_parts(source, store, IDENTITY)
        expected = []
        if processes:
            shares = [parts.plan_share(source, store, n, processes) for n in range(processes)]
            for n, share in enumerate(shares):
                parts.part_folder(store, n).mkdir(parents=True, exist_ok=True)
                expected.append(
                    parts.embed_share(share, source, embed, store, IDENTITY, n, BATCH, 1)
                )
        parts.join_parts(source, embed, store, IDENTITY, BATCH, prune=True, expected=expected)


if __name__ == "__main__":
    os.write(1, b"begin\n")
    index(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))
