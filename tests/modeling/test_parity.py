"""The authors' model, converted by the command, answers as theirs does; see golden/README.md."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from dwc import DWCModel, DWCProcessor
from dwc.cli import main
from dwc.training.losses import contrastive_loss, mutual_loss
from tests.golden.weights_by_rule import draw_pictures, fill, normalise_pictures

GOLDEN = Path(__file__).parents[1] / "golden"
pytestmark = pytest.mark.slow

STREAMS = {"clip": "global", "cnn": "local"}
TEXTS = json.loads((GOLDEN / "texts.json").read_text())


def write_authors_files(folder, golden):
    """What the authors' training leaves behind, and OpenAI's CLIP, with weights by the rule."""
    for part, shapes in golden["shapes"].items():
        state = {name: fill(golden["seed"], part, name, shape) for name, shape in shapes.items()}
        torch.save(state if part == "clip" else {"model_state_dict": state}, folder / f"{part}.pth")
    (folder / "captions.json").write_text(json.dumps(TEXTS["vocabulary_texts"]))


def run_command(folder):
    """Convert as the public command does, with nothing but the four files and no network."""
    files = {
        "--global-weights": "global.pth",
        "--local-weights": "local.pth",
        "--clip": "clip.pth",
        "--captions": "captions.json",
        "--out": "checkpoint",
    }
    arguments = [word for option, file in files.items() for word in (option, str(folder / file))]
    assert main(["convert", *arguments]) == 0


def answer(model, processor, golden):
    """Compose the five queries, one at a time, and embed the pictures."""
    references, targets = (draw_pictures(golden["seed"], which) for which in (0, 1))
    composed, clip_text = [], []
    with torch.inference_mode():
        queries = zip(references, TEXTS["queries"], golden["clip_ids"], strict=True)
        for picture, query, clip_ids in queries:
            inputs = processor(images=[Image.fromarray(picture)], text=[query])
            # As OpenAI's merges give them, which are not here; `test_clip_tokenizer.py` reads them.
            inputs |= {"clip_input_ids": torch.tensor([clip_ids]), "clip_attention_mask": None}
            composed.append(model.compose(**inputs))
            clip_text.append(model.clip.text_features(inputs["clip_input_ids"]))
        pixels = {
            "reference": normalise_pictures(references),
            "target": normalise_pictures(targets),
        }
        gallery = {side: model.embed_images(batch) for side, batch in pixels.items()}
        clip_image = model.clip.image_features(pixels["reference"])
    ours = {"clip_text": torch.cat(clip_text), "clip_image": clip_image}
    for number, (stream, theirs) in enumerate(STREAMS.items()):
        parts = [getattr(query, stream) for query in composed]
        ours[f"{theirs}_query"] = torch.cat([part.embedding for part in parts])
        ours[f"{theirs}_image_part"] = torch.cat([part.image_part for part in parts])
        ours[f"{theirs}_text_part"] = torch.cat([part.text_part for part in parts])
        ours[f"{theirs}_weight"] = torch.cat([part.image_weight for part in parts])
        for side, embeddings in gallery.items():
            ours[f"{theirs}_{side}"] = embeddings.chunk(2, dim=-1)[number]
    return ours


@pytest.fixture(scope="module", params=["rn50", "vitb32"])
def parity(request, tmp_path_factory):
    golden = json.loads((GOLDEN / f"golden_{request.param}.json").read_text())
    with np.load(GOLDEN / f"golden_{request.param}.npz") as arrays:
        expected = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    folder = tmp_path_factory.mktemp(request.param)
    try:
        write_authors_files(folder, golden)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
            run_command(folder)
        model = DWCModel.from_pretrained(folder / "checkpoint")
        processor = DWCProcessor.from_pretrained(folder / "checkpoint")
        ours = answer(model, processor, golden)
        config = model.config
        del model
    finally:
        shutil.rmtree(folder)  # more than a gigabyte
    return SimpleNamespace(
        golden=golden, expected=expected, ours=ours, processor=processor, config=config
    )


@pytest.mark.parametrize("stream", STREAMS.values())
@pytest.mark.parametrize(
    "part", ["query", "image_part", "text_part", "weight", "target", "reference"]
)
def test_every_part_of_every_query_is_the_authors(parity, stream, part):
    ours, expected = (values[f"{stream}_{part}"] for values in (parity.ours, parity.expected))
    assert ours.shape == expected.shape
    assert float(expected.abs().max()) > 1e-3  # there is something to compare
    assert float((ours - expected).abs().max()) <= 1e-5


@pytest.mark.parametrize("features", ["clip_image", "clip_text"])
def test_clips_features_are_openais(parity, features):
    ours, expected = parity.ours[features], parity.expected[features]
    assert ours.shape == expected.shape
    assert float((ours - expected).norm() / expected.norm()) <= 1e-4
    assert float((ours - expected).abs().max() / expected.abs().max()) <= 1e-4


def test_pictures_are_read_as_the_authors_do(parity):
    pictures = draw_pictures(parity.golden["seed"], 0)
    read = parity.processor(images=[Image.fromarray(picture) for picture in pictures])
    assert float((read["pixel_values"] - normalise_pictures(pictures)).abs().max()) <= 1e-5


def test_word_ids_are_the_authors(parity):
    assert parity.processor.word_tokenizer.get_vocab() == parity.golden["word_ids"]
    read = parity.processor(text=TEXTS["queries"])
    for i, expected in enumerate(parity.golden["encoded"]):
        assert read["word_ids"][i][read["word_mask"][i]].tolist() == expected


def test_the_checkpoint_carries_the_authors_caption_template(parity):
    assert parity.config.caption_template == {
        "single": "<BOS> {0} <EOS>",
        "pair": "<BOS> {0} <AND> {1} <EOS>",
    }


@pytest.mark.parametrize("stream", STREAMS.values())
def test_contrastive_loss_is_the_authors(parity, stream):
    loss = contrastive_loss(
        parity.ours[f"{stream}_query"],
        parity.ours[f"{stream}_target"],
        parity.expected["labels"],
        temperature=0.07,
        alpha=0.2,
    )
    assert abs(float(loss - parity.expected[f"loss_contrastive_{stream}"])) <= 1e-6


@pytest.mark.parametrize("side", ["reference", "target"])
def test_mutual_loss_is_the_authors(parity, side):
    loss = mutual_loss(
        parity.ours["global_query"],
        parity.ours["global_target"],
        parity.ours["local_query"],
        parity.ours[f"local_{side}"],
        scale=10.0,
    )
    expected = parity.expected[f"loss_mutual_global_taught_by_local_{side}"]
    assert float(expected) > 1e-6
    assert abs(float(loss - expected)) <= 1e-6
