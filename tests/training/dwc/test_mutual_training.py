"""Mutual training learns, resumes to the last bit, and trains each stream in its turn."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from dwc.modeling.clip_stream import ClipBackbone
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import DWCProcessor
from dwc.training.catalogue.pretraining import ContrastiveSettings, train_contrastive
from dwc.training.dwc.mutual_training import MutualSettings, train_mutually
from dwc.training.loop import LoopSettings
from tests.training.tiny import THINGS, TinyBatches, TinyPairs, picture, tiny_model, tiny_processor

pytestmark = pytest.mark.training

SETTINGS = MutualSettings(total_steps=6, learning_rate=2e-3)


@pytest.fixture(scope="module")
def processor() -> DWCProcessor:
    return tiny_processor()


def train(
    model: DWCModel, batches: TinyBatches, settings: MutualSettings, folder: Path | None = None
) -> dict[str, float]:
    loop = LoopSettings(settings.total_steps, folder, save_every=3, log_every=2)
    return dict(train_mutually(model, batches, settings, Accelerator(cpu=True), loop))


@torch.no_grad()
def recall_at_one(model: DWCModel, processor: DWCProcessor) -> dict[str, float]:
    """Over a gallery of one picture a thing, on batches never trained on."""
    model.eval()
    generator = torch.Generator().manual_seed(99)
    gallery = model.embed_images(torch.stack([picture(thing, generator) for thing in THINGS]))
    batch = TinyBatches(processor, size=200)(10_000)
    composed = model.compose(**batch.queries[0])
    clip_dim = composed.clip.embedding.shape[1]
    found = {
        "clip": composed.clip.embedding @ gallery[:, :clip_dim].T,
        "cnn": composed.cnn.embedding @ gallery[:, clip_dim:].T,
        "together": composed.embedding @ gallery.T,
    }
    return {
        name: float((scores.argmax(dim=-1) == batch.labels).float().mean())
        for name, scores in found.items()
    }


def test_a_short_training_beats_chance_by_far(processor: DWCProcessor) -> None:
    model = tiny_model(processor)
    clip = ClipBackbone(model.config.clip_config)
    numbers = train_contrastive(
        clip,
        TinyPairs(processor),
        ContrastiveSettings(total_steps=100, learning_rate=5e-3, warmup_steps=5),
        Accelerator(cpu=True),
        LoopSettings(100, log_every=20),
    )
    assert numbers["accuracy"] > 10 / TinyPairs.size
    model.clip.load_state_dict(clip.state_dict())
    train(model, TinyBatches(processor, text_only=4), replace(SETTINGS, total_steps=120))
    recall = recall_at_one(model, processor)
    chance = 1 / len(THINGS)
    assert recall["together"] > 10 * chance
    assert recall["clip"] > 4 * chance
    assert recall["cnn"] > 4 * chance


@pytest.mark.parametrize("teacher_side", ["target", "reference"])
def test_a_resumed_run_ends_in_the_same_weights(
    processor: DWCProcessor, tmp_path: Path, teacher_side: str
) -> None:
    settings = replace(SETTINGS, teacher_side=teacher_side, schedule="cosine", warmup_steps=2)
    batches = TinyBatches(processor, size=8)
    whole = tiny_model(processor)
    train(whole, batches, settings)

    killed = tiny_model(processor)

    def dies(step: int) -> object:
        if step == 4:
            raise KeyboardInterrupt
        return batches(step)

    with pytest.raises(KeyboardInterrupt):
        train(killed, dies, settings, tmp_path)  # type: ignore[arg-type]
    resumed = tiny_model(processor, seed=5)
    # CLIP is frozen, so it is no part of the saved state: it comes with the checkpoint.
    resumed.clip.load_state_dict(whole.clip.state_dict())
    train(resumed, batches, settings, tmp_path)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, msg=name, atol=0, rtol=0)


def test_clip_stays_frozen(processor: DWCProcessor) -> None:
    model = tiny_model(processor)
    before = {name: value.clone() for name, value in model.clip.state_dict().items()}
    train(model, TinyBatches(processor, size=8), replace(SETTINGS, total_steps=2))
    assert all(torch.equal(before[name], value) for name, value in model.clip.state_dict().items())


def test_a_teacher_on_references_needs_references(processor: DWCProcessor) -> None:
    settings = replace(SETTINGS, teacher_side="reference")
    with pytest.raises(ValueError, match="reference picture for every query"):
        train(tiny_model(processor), TinyBatches(processor, size=8, text_only=2), settings)


def test_a_loss_that_is_no_number_stops_the_run(processor: DWCProcessor) -> None:
    model = tiny_model(processor)
    with torch.no_grad():
        model.clip_stream.combiner.weigh[0].weight.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="clip_contrast is nan at step 0"):
        train(model, TinyBatches(processor, size=8), SETTINGS)


def test_queries_of_one_modality_do_not_change_batch_norms():
    """Their contexts are zero: averaged in, the norms would fit neither kind of query."""
    processor = tiny_processor()
    norms = []
    for text_only in (0, 12):
        model = tiny_model(processor)
        settings = MutualSettings(total_steps=1)
        train_mutually(
            model,
            TinyBatches(processor, size=8, text_only=text_only),
            settings,
            Accelerator(cpu=True),
            LoopSettings(1),
        )
        assert model.cnn_stream is not None
        assert all(m.training for m in model.cnn_stream.modules())
        norms.append(
            {
                name: tensor
                for name, tensor in model.cnn_stream.state_dict().items()
                if "running" in name and name.startswith(("gate_", "add_", "embed_"))
            }
        )
    assert norms[0]
    for name, tensor in norms[0].items():
        torch.testing.assert_close(norms[1][name], tensor, msg=name)


def test_weight_distillation_pulls_the_weights_together(processor: DWCProcessor) -> None:
    apart = []
    for teaching in (0.0, 5.0):
        model = tiny_model(processor)
        with torch.no_grad():  # a start far from the other stream's
            model.cnn_stream.weigh[-1].bias.fill_(3.0)
        settings = replace(SETTINGS, total_steps=60, weight_distillation=teaching)
        train(model, TinyBatches(processor, size=16), settings)
        with torch.no_grad():
            composed = model.eval().compose(**TinyBatches(processor, size=64)(10_000).queries[0])
        apart.append(float((composed.cnn.image_weight - composed.clip.image_weight).abs().mean()))
    assert apart[1] < apart[0] / 3
