"""The converter: sizes from tensors, every tensor accounted for, and told what became of what."""

import gzip
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import CLIPConfig, CLIPModel

from dwc import DWCModel, DWCProcessor
from dwc.checkpoints import load
from dwc.checkpoints.model_card import CardFacts
from dwc.checkpoints.save import save_checkpoint
from dwc.cli import main
from dwc.convert import convert
from dwc.errors import CheckpointError
from dwc.modeling.processing_dwc import build_word_tokenizer
from dwc.training.catalogue.recipe import train_clip_tokenizer
from tests.convert.state_dicts import CAPTIONS, MAX_TOKENS, TOKENS, fill, rewrite, tiny_clip_shapes
from tests.fork_server import PYTHON
from tests.merges import merges_text


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["vit", "resnet"])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_clip_stream_alone_becomes_a_whole_checkpoint(files, tmp_path, kind, suffix):
    clip = tmp_path / f"{kind}{suffix}"
    state = fill(tiny_clip_shapes(kind))
    save_file(state, clip) if suffix == ".safetensors" else torch.save(state, clip)
    merges = tmp_path / "bpe_simple_vocab_16e6.txt.gz"
    merges.write_bytes(gzip.compress(merges_text(TOKENS).encode()))
    out = convert(tmp_path / "out", global_weights=files["global_weights"], clip=clip)
    loaded = load.load(out)
    model, processor = loaded.model, loaded.processor
    assert model.cnn_stream is None
    assert processor.word_tokenizer is None
    assert len(processor.clip_tokenizer) == TOKENS
    assert processor.max_clip_tokens == MAX_TOKENS
    query = model.compose(
        pixel_values=torch.zeros(1, 3, 64, 64), **processor(text="<BOS> is red <EOS>")
    )
    assert list(query.streams) == ["clip"]
    assert query.embedding.shape == (1, 16)
    assert model.config.caption_template["pair"] == "<BOS> {0} <AND> {1} <EOS>"


@pytest.mark.slow
def test_half_precision_archives_as_openai_releases_them_are_read(files, tmp_path):
    class Released(nn.Module):
        """A TorchScript archive with OpenAI's names, in half precision."""

        def __init__(self, state):
            super().__init__()
            for name, tensor in state.items():
                *path, leaf = name.split(".")
                location = self
                for step in path:
                    if not hasattr(location, step):
                        location.add_module(step, nn.Module())
                    location = getattr(location, step)
                stored = tensor.half() if tensor.is_floating_point() else tensor
                location.register_buffer(leaf, stored)
            for number in ("input_resolution", "context_length", "vocab_size"):
                self.register_buffer(number, torch.tensor(1))

        def forward(self, pixels):
            return pixels

    state = fill(tiny_clip_shapes("vit"))
    torch.jit.script(Released(state)).save(tmp_path / "archive.pt")
    out = convert(
        tmp_path / "out", global_weights=files["global_weights"], clip=tmp_path / "archive.pt"
    )
    weights = DWCModel.from_pretrained(out).clip.state_dict()
    expected = state["visual.proj"].half().float().T
    assert torch.equal(weights["visual_projection.weight"], expected)


@pytest.mark.slow
def test_a_transformers_clip_brings_its_own_tokenizer(files, tmp_path):
    text = {"vocab_size": 530, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1,
            "num_attention_heads": 2, "max_position_embeddings": 12, "bos_token_id": 528,
            "eos_token_id": 529, "pad_token_id": 529}  # fmt: skip
    vision = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1,
              "num_attention_heads": 2, "image_size": 48, "patch_size": 16}  # fmt: skip
    torch.manual_seed(0)
    theirs = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=24)).eval()
    theirs.save_pretrained(tmp_path / "clip")
    train_clip_tokenizer(CAPTIONS, 530).save_pretrained(tmp_path / "clip")
    out = convert(tmp_path / "out", global_weights=files["global_weights"], clip=tmp_path / "clip")
    ours, processor = DWCModel.from_pretrained(out), DWCProcessor.from_pretrained(out)
    assert processor.clip_tokenizer.get_vocab() == train_clip_tokenizer(CAPTIONS, 530).get_vocab()
    assert processor.max_clip_tokens == 12
    pixels = torch.randn(2, 3, 48, 48, generator=torch.Generator().manual_seed(1))
    words = processor(text=["is red", "has no sleeves"])
    with torch.inference_mode():
        expected = theirs(
            input_ids=words["clip_input_ids"],
            attention_mask=words["clip_attention_mask"],
            pixel_values=pixels,
        )
        images = ours.clip.image_features(pixels)
        texts = ours.clip.text_features(words["clip_input_ids"], words["clip_attention_mask"])
    unit = nn.functional.normalize
    torch.testing.assert_close(unit(images), unit(expected.image_embeds), atol=1e-5, rtol=0)
    torch.testing.assert_close(unit(texts), unit(expected.text_embeds), atol=1e-5, rtol=0)


@pytest.mark.slow
def test_the_command_converts_and_says_where_to(files, tmp_path):
    """In a process of its own, from another directory, without a network."""
    options = {"--global-weights": "global.pth", "--clip": "clip.pt", "--out": "made/here"}
    arguments = [word for pair in options.items() for word in pair]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [*PYTHON, "-m", "dwc", "convert", *arguments, "--template", "plain"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root), "HF_HUB_OFFLINE": "1"},
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert "made/here" in done.stdout
    assert "without CLIP's tokenizer" in done.stderr
    model = DWCModel.from_pretrained(tmp_path / "made" / "here")
    assert model.config.caption_template == {"single": "{0}", "pair": "{0} and {1}"}


@pytest.mark.slow
def test_without_a_tokenizer_it_is_written_and_the_cure_given(files, tmp_path, caplog):
    out = convert(tmp_path / "out", **files)
    (message,) = [record.getMessage() for record in caplog.records if record.name.startswith("dwc")]
    for part in (str(out), "without CLIP's tokenizer", "token ids", "--clip-tokenizer PATH"):
        assert part in message
    with pytest.raises(CheckpointError, match=r"no clip_tokenizer.*--clip-tokenizer PATH"):
        load.load(out)
    assert DWCProcessor.from_pretrained(out).clip_tokenizer is None
    ids = torch.tensor([[TOKENS - 2, 5, TOKENS - 1]])
    query = DWCModel.from_pretrained(out).compose(torch.zeros(1, 3, 64, 64), clip_input_ids=ids)
    assert query.embedding.isfinite().all()

    caplog.clear()
    (tmp_path / "merges.txt").write_text(merges_text(TOKENS))
    convert(out, **files, clip_tokenizer=tmp_path / "merges.txt")  # the cure, in the same place
    assert len(load.load(out).processor.clip_tokenizer) == TOKENS
    assert not [record for record in caplog.records if record.name.startswith("dwc")]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["given", "sorted", "table"])
def test_the_order_of_the_words_is_not_reported_as_checked(local_files, tmp_path, form):
    captions = CAPTIONS if form == "given" else sorted(CAPTIONS)
    if form == "table":
        captions = build_word_tokenizer(CAPTIONS).get_vocab()
    local_files["captions"].write_text(json.dumps(captions))
    lines = []
    convert(tmp_path / "out", **local_files, log=lines.append)
    report = "\n".join(lines)
    assert ("the words' order cannot be verified" in report) == (form != "table")
    assert ("are in alphabetical order" in report) == (form == "sorted")


@pytest.mark.slow
def test_what_was_mapped_is_reported_module_by_module(files, tmp_path, capsys):
    arguments = ["--global-weights", str(files["global_weights"]), "--clip", str(files["clip"])]
    assert main(["convert", *arguments, "--out", str(tmp_path / "out")]) == 0
    message = capsys.readouterr().out
    for line in (
        "  visual -> clip.vision_model: 31 tensors, which are 39 here",
        "  visual -> clip.visual_projection: 1 tensor",
        "  img_fc -> clip_stream.project_image: 2 tensors",
        "  atten_T -> clip_stream.combiner: 4 tensors",
        "  read by nothing, left behind: loss_weight",
        "CLIP has sizes of its own: 64 px, features of 24",
        "CLIP's tokenizer: none",
        "images: short side to 64 px, bicubic, then the center; CLIP's mean and std",
        "captions: '<BOS> {0} <EOS>', '<BOS> {0} <AND> {1} <EOS>'",
    ):
        assert f"{line}\n" in message
    assert re.search(r"checked: every tensor leads back .* differs by \d\.\de[-+]\d\d", message)
    assert message.splitlines()[-1].startswith(f"wrote {tmp_path / 'out'} (fingerprint ")


@pytest.mark.slow
def test_the_card_says_what_is_known_and_no_more(files, tmp_path):
    facts = CardFacts(license="mit", datasets=("fashion_iq",), base_model="someone/clip")
    out = convert(tmp_path / "out", **files, card=facts)
    card = ModelCard.load(out / "README.md")
    assert (card.data.license, card.data.datasets) == ("mit", ["fashion_iq"])
    assert card.data.base_model == "someone/clip"
    assert "arxiv:2312.06179" in card.data.tags
    for part in (
        "# out",
        "global.pth: the authors' global",
        "a ViT of 2 layers",
        "`<BOS> {0} <EOS>`",
        "Nothing has been measured",
    ):
        assert part in card.content
    assert "CNN stream (" not in card.content
    convert(out, **files)
    assert ModelCard.load(out / "README.md").data.license is None
    (out / "README.md").write_text("my own words")
    convert(out, **files)
    assert (out / "README.md").read_text() == "my own words"


@pytest.mark.slow
def test_a_tensor_that_came_out_wrong_keeps_the_checkpoint_from_its_place(
    files, tmp_path, monkeypatch
):
    save = save_checkpoint

    def damage(model, *arguments, **options):
        folder = save(model, *arguments, **options)
        weights = load_file(folder / "model.safetensors")
        weights["clip.logit_scale"] += 1e-6  # which no query's embedding shows
        save_file(weights, folder / "model.safetensors", {"format": "pt"})
        return folder

    monkeypatch.setattr("dwc.convert.to_checkpoint.save_checkpoint", damage)
    with pytest.raises(CheckpointError, match=r"other tensors than were read \(logit_scale\)"):
        convert(tmp_path / "out", **files)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["clip.pt", "global.pth"]


@pytest.mark.slow
def test_weights_that_compose_nothing_finite_are_refused(files, tmp_path):
    rewrite(
        files["global_weights"],
        **{
            "dynamic_scalar.0.bias": torch.full((16,), 3e38),
            "dynamic_scalar.3.weight": torch.tensor([[2.0, -2.0] * 8]),
        },
    )
    with pytest.raises(CheckpointError, match="not finite"):
        convert(tmp_path / "out", **files)
    assert not (tmp_path / "out").exists()
