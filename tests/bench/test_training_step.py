"""Where the time of a full-size training step goes: it should be the network's."""

import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator

from dwc.catalogue.export import draw_images, triplets_of
from dwc.catalogue.splits import gallery, training_triplets
from dwc.convert.to_checkpoint import authors_image_processor
from dwc.modeling.configuration_dwc import CnnStreamConfig, DWCConfig
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import DWCProcessor, build_word_tokenizer
from dwc.training.dwc import mutual_training
from dwc.training.dwc.benchmark_data import BatchLoader, BenchmarkBatches, BenchmarkData
from dwc.training.dwc.mutual_training import train_mutually
from dwc.training.dwc.presets import RECOMMENDED
from dwc.training.loop import LoopSettings
from tests.bench.measuring import tell
from tests.training.dwc.benchmark_files import data_of

pytestmark = pytest.mark.bench

SHARE = 0.85
PICTURE_PX = 400  # about as large as FashionIQ's
SIZE, STEPS = 16, 4  # the first step is not counted: processes start, memory is asked for


class _Stopwatch:
    """Adds up how long functions take."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def timed(*arguments: Any, **options: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                spent = time.perf_counter() - start
                self.seconds[name] = self.seconds.get(name, 0.0) + spent

        return timed


class _After:
    """A callback that starts the clocks once the first step is done."""

    def __init__(self, watch: _Stopwatch) -> None:
        self.watch, self.began = watch, 0.0

    def before_step(self, step: int) -> None:
        if step == 1:
            self.watch.seconds.clear()
            self.began = time.perf_counter()

    def after_step(self, done: int) -> None:
        pass


def drawn_pictures(root: Path) -> BenchmarkData:
    items = gallery("train", 60)
    draw_images(root, items, PICTURE_PX, suffix=".jpg")
    triplets = triplets_of(items, training_triplets(items, 0, SIZE * STEPS))
    names = [name for t in triplets for name in (t.reference, t.target)]
    found = {path.stem: path for path in root.rglob("*.jpg")}
    captions = [caption for t in triplets for caption in t.captions]
    return data_of(triplets, {name: found[name] for name in names}, captions)


def test_a_step_of_the_papers_cnn_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = drawn_pictures(tmp_path)
    words = build_word_tokenizer(data.vocabulary)
    cnn_config = CnnStreamConfig(vocab_size=len(words))
    model = DWCModel(DWCConfig(clip_config=None, cnn_config=cnn_config))
    processor = DWCProcessor(authors_image_processor(224), None, words)
    batches = BenchmarkBatches(
        data, processor, {"single": "{0}", "pair": "{0} and {1}"}, SIZE, seed=0
    )
    watch = _Stopwatch()
    for holder, name in ((mutual_training._CnnStudent, "forward"), (Accelerator, "backward")):
        monkeypatch.setattr(holder, name, watch.around(name, getattr(holder, name)))
    reader = BatchLoader(batches, STEPS, torch.device("cpu"), workers=1)
    waiting = watch.around("waiting for pictures", reader)
    clock = _After(watch)
    train_mutually(
        model,
        waiting,
        RECOMMENDED.mutual_settings(batches.steps_per_epoch),
        Accelerator(cpu=True),
        LoopSettings(STEPS, log_every=STEPS),
        callback=clock,
    )
    whole = time.perf_counter() - clock.began
    share = (watch.seconds["forward"] + watch.seconds["backward"]) / whole
    parts = ", ".join(f"{name} {spent / whole:.2f}" for name, spent in watch.seconds.items())
    tell(
        f"a step of the paper's CNN stream, {SIZE} triplets of {PICTURE_PX} px",
        f"{whole / (STEPS - 1):.1f} s: {parts}",
        f"at least {SHARE} forward and backward",
    )
    assert share >= SHARE
