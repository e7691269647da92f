"""Composed queries and galleries out of random numbers, no model needed."""

import numpy as np
import torch

from dwc.modeling.combiners import ComposedQuery, Composition


def made_stream(generator, width=8, weight=0.6, joint=False, count=1):
    """`count` queries of one stream; the parts' lengths differ, as edited features' do."""
    image, text, together = torch.randn(3, count, width, generator=generator)
    weights = torch.full((count, 1), weight)
    return Composition.mix(3 * image, 0.5 * text, weights, together if joint else None)


def made_query(seed=0, weights=(0.6, 0.3), widths=(8, 12), joint=False):
    generator = torch.Generator().manual_seed(seed)
    clip = made_stream(generator, widths[0], weights[0], joint)
    return ComposedQuery(clip=clip, cnn=made_stream(generator, widths[1], weights[1]))


def made_gallery(count, widths=(8, 12), seed=0):
    """Vectors (count, sum of widths), unit length per stream; the last is the first once more."""
    rng = np.random.default_rng(seed)
    streams = [rng.standard_normal((count, width), dtype=np.float32) for width in widths]
    units = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in streams]
    vectors = np.concatenate(units, axis=1)
    vectors[-1] = vectors[0]
    return vectors, [f"g{n}" for n in range(count)]
