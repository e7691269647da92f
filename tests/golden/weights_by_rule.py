"""The rule that filled the weights and drew the pictures of the golden values."""

import zlib

import numpy as np
import torch

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def fill(seed, part, name, shape):
    """The tensor `name` of `part` (clip, global or local); torch, float32 but for counters."""
    full_name = f"{part}.{name}"
    leaf = name.rsplit(".", 1)[-1]
    generator = np.random.default_rng([seed, zlib.crc32(full_name.encode())])
    z = np.asarray(generator.standard_normal(shape).astype(np.float32))
    if leaf == "num_batches_tracked":
        return torch.tensor(0)
    if leaf == "running_var":
        values = 1 + 0.1 * np.abs(z)
    elif leaf == "running_mean":
        values = 0.05 * z
    elif full_name.endswith(".p"):
        values = 3 + 0.1 * z
    elif leaf == "logit_scale":
        values = np.log(1 / 0.07)
    elif len(shape) >= 2:
        values = 0.1 * z if "embedding" in full_name else z / np.sqrt(np.prod(shape[1:]))
    elif leaf.startswith("bias"):
        values = 0.05 * z
    elif leaf == "class_embedding":
        values = 0.1 * z
    else:
        values = 1 + 0.1 * z
    return torch.from_numpy(np.array(values, dtype=np.float32))


def draw_pictures(seed, which):
    """Five pictures (5, 224, 224, 3), uint8: the references (0) or the targets (1)."""
    base = np.random.default_rng([seed, 7, which]).uniform(0, 255, (5, 3, 7, 7))
    pictures = np.kron(base, np.ones((1, 1, 32, 32))).round().astype(np.uint8)
    return pictures.transpose(0, 2, 3, 1)


def normalise_pictures(pictures):
    """Pictures (N, H, W, 3), uint8, -> (N, 3, H, W), float32, CLIP's mean and deviation."""
    scaled = (pictures / 255 - np.array(CLIP_MEAN)) / np.array(CLIP_STD)
    return torch.from_numpy(scaled.transpose(0, 3, 1, 2).astype(np.float32))
