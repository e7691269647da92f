"""The rate at which photographs are indexed, next to their bare decoding and forward passes.

`DWC_BENCH_PHOTOGRAPHS` limits how many of the wardrobe's photographs are indexed (924).
"""

import os
import shutil
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from dwc.checkpoints.load import Checkpoint, load
from dwc.datasets.image_loading import decode
from dwc.datasets.wardrobe import image_path, read_wardrobe
from dwc.gallery.builder import build_store
from dwc.gallery.sources import FolderSource
from dwc.modeling.configuration_dwc import ClipBackboneConfig, CnnStreamConfig, DWCConfig
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import DWCProcessor
from dwc.search.image_embedding import image_embedder, model_identity, prefers_bfloat16
from tests.bench.measuring import Row, check_rows, tell

pytestmark = pytest.mark.bench

ROOT = Path(__file__).parents[2]
ROUNDS = 3
BATCH = 32
NEIGHBORS = 10


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """A folder of the photographs."""
    folder = os.environ.get("DWC_TEST_DATA")
    if folder is None:
        pytest.skip("needs DWC_TEST_DATA with the wardrobe's photographs")
    wardrobe = Path(folder) / "wardrobe"
    count = int(os.environ.get("DWC_BENCH_PHOTOGRAPHS", "924"))
    place = tmp_path_factory.mktemp("photographs")
    for photograph in read_wardrobe(wardrobe, "eval")[:count]:
        shutil.copy(image_path(wardrobe, photograph.file), place)
    return place


def bundled() -> Checkpoint:
    return load()


def paper_size() -> Checkpoint:
    """Random weights in the shape of the paper: CLIP's ViT-B/32 and a ResNet-50."""
    torch.manual_seed(0)
    config = DWCConfig(clip_config=ClipBackboneConfig.vit_b32(), cnn_config=CnnStreamConfig())
    side = {"height": 224, "width": 224}
    processor = DWCProcessor(CLIPImageProcessorPil(size=side, do_center_crop=False))
    return Checkpoint(DWCModel(config).eval(), processor, "0" * 12, str(ROOT))


@pytest.mark.parametrize("make", [bundled, paper_size])
def test_build_rate(make, photographs, tmp_path):
    checkpoint = make()
    files = sorted(photographs.iterdir())
    embed = image_embedder(checkpoint)
    images = [decode(file) for file in files]

    def decode_all():
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(decode, files))

    def forward_all():
        for start in range(0, len(images), BATCH):
            embed(images[start : start + BATCH])

    @torch.inference_mode()
    def loop():
        vectors = []
        for file in files:
            pixels = checkpoint.processor(images=[Image.open(file).convert("RGB")])["pixel_values"]
            vectors.append(checkpoint.model.embed_images(pixels).numpy()[0])
        return np.stack(vectors)

    numbers = iter(range(1_000))

    def build():
        store = tmp_path / str(next(numbers))
        return build_store(FolderSource(photographs), embed, store, model_identity(checkpoint))

    def seconds(work):
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    plain = loop()
    works = (build, decode_all, forward_all, loop)
    times = [[seconds(work) for work in works] for _ in range(ROUNDS)]
    built, decoded, forward, looped = map(statistics.median, zip(*times, strict=True))
    store = build()
    order = {path: row for row, path in enumerate(store.ids)}
    vectors = np.stack([store.vectors[order[file.name]] for file in files])
    shared = overlap(plain, vectors.astype(np.float32))
    name = make.__name__.replace("_", " ")
    precision = "bfloat16" if prefers_bfloat16(checkpoint.model) else "float32"
    slower = max(decoded, forward)
    tell(f"{NEIGHBORS} nearest in {precision}, {name}", f"{shared:.4f} of float32's", "told only")
    check_rows(
        f"build, {name}",
        [
            Row(f"indexing, {name}", built, "s", "decoding or forward passes", slower, 1 / 0.9),
            Row(f"indexing, {name}", built, "s", "a plain loop", looped, 1 / 2.5),
        ],
    )


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """The mean share of the nearest rows of each row that two sets of vectors have in common."""
    nearest = []
    for vectors in (first, second):
        products = vectors @ vectors.T
        np.fill_diagonal(products, -np.inf)
        nearest.append(np.argsort(-products, axis=1)[:, :NEIGHBORS])
    shared = [len(set(a) & set(b)) for a, b in zip(*nearest, strict=True)]
    return statistics.mean(shared) / NEIGHBORS
