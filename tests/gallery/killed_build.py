"""Builds a store slowly enough to be killed anywhere: `killed_build.py PHOTOS STORE`."""

import sys
import time

from dwc.gallery.builder import build_store
from dwc.gallery.sources import FolderSource
from tests.gallery.embedding import IDENTITY, mean_colors


def embed(images):
    time.sleep(0.002)
    return mean_colors(images)


if __name__ == "__main__":
    sys.stdout.write("begin\n")
    sys.stdout.flush()
    build_store(FolderSource(sys.argv[1]), embed, sys.argv[2], IDENTITY, batch_size=2, prune=True)
    sys.stdout.write("end\n")
