"""A model that one can check by eye: two streams, of the mean colour and of its negative."""

import numpy as np

from dwc.gallery.store import ModelIdentity

IDENTITY = ModelIdentity(
    fingerprint="3f2a91c00000",
    name="colours",
    revision=None,
    streams={"clip": 3, "cnn": 3},
    preprocessing={"size": 1},
)


def mean_colors(images):
    """(n, 6) float32: unit mean colour, then the unit of its complement."""
    means = np.stack([np.asarray(image, dtype=np.float64).mean(axis=(0, 1)) for image in images])
    halves = [half + 1e-9 for half in (means, 255 - means)]
    return np.concatenate(
        [half / np.linalg.norm(half, axis=1, keepdims=True) for half in halves], axis=1
    ).astype(np.float32)
