"""Text tuning learns what modifications ask, and leaves the image tower unchanged."""

import random

import pytest
import torch
from accelerate import Accelerator

from dwc.catalogue.language.modifications import Modification
from dwc.catalogue.schema import Garment
from dwc.modeling.clip_stream import ClipBackbone
from dwc.training.catalogue.pretraining import label_vocabulary
from dwc.training.catalogue.text_tuning import (
    LESS,
    MORE,
    SEVERAL,
    UNSPECIFIED,
    TextTuningBatch,
    TextTuningSettings,
    encode_modification,
    tune_text_tower,
)
from dwc.training.loop import LoopSettings
from tests.training.tiny import COLOURS, tiny_model, tiny_processor

REFERENCE = Garment.of(
    "t_shirt", colour="red", shade="mid", pattern="plain", second_colour="none",
    sleeve="short", neckline="round", length="medium", fit="regular",
)  # fmt: skip


def wish(category=None, relative=(), **allowed) -> Modification:
    told = frozenset(allowed) - frozenset(relative)
    values = {name: frozenset(v) for name, v in allowed.items()}
    return Modification(("…",), category, values, told, frozenset(relative), frozenset())


def reading(asked: Modification) -> dict[str, int]:
    """Name to what is asked, of what is not unsaid."""
    row = dict(zip(label_vocabulary(), encode_modification(REFERENCE, asked), strict=True))
    return {name: number for name, number in row.items() if number != UNSPECIFIED}


def test_modifications_are_encoded_by_attribute():
    heads = label_vocabulary()
    blue = 4 + heads["colour"].index("blue")
    assert reading(wish(colour=["blue"])) == {"colour": blue}
    assert reading(wish(sleeve=["elbow", "long"], relative=["sleeve"])) == {"sleeve": MORE}
    assert reading(wish(fit=["slim"], relative=["fit"])) == {"fit": LESS}
    assert reading(wish(pattern=["striped", "dotted"])) == {"pattern": SEVERAL}
    assert reading(wish(category="dress")) == {"category": 4 + heads["category"].index("dress")}


@pytest.mark.training
def test_the_text_tower_is_trained_and_the_image_tower_stays(tmp_path):
    processor = tiny_processor()
    clip: ClipBackbone = tiny_model(processor).clip
    before = {name: tensor.clone() for name, tensor in clip.state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randn(len(COLOURS), 48, generator=generator)
    heads = label_vocabulary()
    asked = [
        encode_modification(
            REFERENCE, wish(colour=[colour] if colour in heads["colour"] else ["red"])
        )
        for colour in COLOURS
    ]

    def batches(step: int) -> TextTuningBatch:
        order = random.Random(step).sample(range(len(COLOURS)), len(COLOURS))
        texts = [f"top {list(COLOURS)[place]}" for place in order]
        inputs = processor(text=texts)
        return TextTuningBatch(
            inputs["clip_input_ids"],
            inputs["clip_attention_mask"],
            pictures[order],
            torch.tensor([asked[place] for place in order[:4]]),
        )

    settings = TextTuningSettings(total_steps=80, learning_rate=5e-3, warmup_steps=5)
    loop = LoopSettings(80, tmp_path, log_every=10)
    last = tune_text_tower(clip, batches, settings, Accelerator(cpu=True), loop)
    assert last["read_right"] > 0.9
    assert last["contrast"] < 0.2
    changed = {
        name for name, tensor in clip.state_dict().items() if not torch.equal(tensor, before[name])
    }
    assert changed
    assert all(name.startswith("text_") for name in changed)
