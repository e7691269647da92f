"""The converter: sizes from tensors, every tensor accounted for, nothing written half."""

import gzip
import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from transformers import CLIPConfig, CLIPModel

from dwc import DWCModel, DWCProcessor, checkpoint
from dwc.cli import main
from dwc.convert import convert
from dwc.convert.authors import cnn_stream_weights
from dwc.convert.openai_clip import backbone_config, backbone_weights
from dwc.convert.renaming import require_fit
from dwc.errors import CheckpointError
from dwc.modeling.clip_backbone import ClipBackbone
from dwc.training.vocabulary import train_clip_tokenizer
from tests.merges import merges_text

GOLDEN = Path(__file__).parent / "golden"
SHAPES = {
    name: json.loads((GOLDEN / f"golden_{name}.json").read_text())["shapes"]
    for name in ("rn50", "vitb32")
}
CAPTIONS = json.loads((GOLDEN / "texts.json").read_text())["vocabulary_texts"]
TOKENS, MAX_TOKENS = 600, 20
STATISTICS = ("weight", "bias", "running_mean", "running_var")


def norm(name, size):
    shapes = {f"{name}.{statistic}": [size] for statistic in STATISTICS}
    return {**shapes, f"{name}.num_batches_tracked": []}


def linear(name, outputs, inputs):
    return {f"{name}.weight": [outputs, inputs], f"{name}.bias": [outputs]}


def transformer(name, layers, width):
    shapes = {}
    for layer in range(layers):
        block = f"{name}.resblocks.{layer}"
        shapes |= {f"{block}.attn.in_proj_weight": [3 * width, width]}
        shapes |= {f"{block}.attn.in_proj_bias": [3 * width]}
        shapes |= linear(f"{block}.attn.out_proj", width, width)
        shapes |= linear(f"{block}.mlp.c_fc", 4 * width, width)
        shapes |= linear(f"{block}.mlp.c_proj", width, 4 * width)
        for number in (1, 2):
            shapes |= {f"{block}.ln_{number}.weight": [width], f"{block}.ln_{number}.bias": [width]}
    return shapes


def text_tower(embed_dim, width, layers, vocab_size, context):
    return {
        "positional_embedding": [context, width],
        "text_projection": [width, embed_dim],
        "logit_scale": [],
        "token_embedding.weight": [vocab_size, width],
        "ln_final.weight": [width],
        "ln_final.bias": [width],
        **transformer("transformer", layers, width),
    }


def modified_resnet(layers, width, image_size, embed_dim):
    shapes = {}
    stem = [(3, width // 2), (width // 2, width // 2), (width // 2, width)]
    for number, (inputs, outputs) in enumerate(stem, start=1):
        shapes |= {f"visual.conv{number}.weight": [outputs, inputs, 3, 3]}
        shapes |= norm(f"visual.bn{number}", outputs)
    inputs = width
    for stage, blocks in enumerate(layers):
        planes = width * 2**stage
        for block in range(blocks):
            name = f"visual.layer{stage + 1}.{block}"
            steps = [(inputs, planes, 1), (planes, planes, 3), (planes, 4 * planes, 1)]
            for number, (before, after, kernel) in enumerate(steps, start=1):
                shapes |= {f"{name}.conv{number}.weight": [after, before, kernel, kernel]}
                shapes |= norm(f"{name}.bn{number}", after)
            if block == 0:
                shapes |= {f"{name}.downsample.0.weight": [4 * planes, inputs, 1, 1]}
                shapes |= norm(f"{name}.downsample.1", 4 * planes)
            inputs = 4 * planes
    shapes |= {"visual.attnpool.positional_embedding": [(image_size // 32) ** 2 + 1, inputs]}
    for letter in "kqv":
        shapes |= linear(f"visual.attnpool.{letter}_proj", inputs, inputs)
    return shapes | linear("visual.attnpool.c_proj", embed_dim, inputs)


def vit(layers, width, patch, image_size, embed_dim):
    shapes = {
        "visual.class_embedding": [width],
        "visual.positional_embedding": [(image_size // patch) ** 2 + 1, width],
        "visual.proj": [width, embed_dim],
        "visual.conv1.weight": [width, 3, patch, patch],
    }
    for norm_name in ("ln_pre", "ln_post"):
        shapes |= {f"visual.{norm_name}.{leaf}": [width] for leaf in ("weight", "bias")}
    return shapes | transformer("visual.transformer", layers, width)


# As the models are described: image tower, embedding, text width; all texts have 12 layers.
RELEASED = {
    "RN50": (modified_resnet([3, 4, 6, 3], 64, 224, 1024), 1024, 512),
    "RN101": (modified_resnet([3, 4, 23, 3], 64, 224, 512), 512, 512),
    "RN50x4": (modified_resnet([4, 6, 10, 6], 80, 288, 640), 640, 640),
    "RN50x16": (modified_resnet([6, 8, 18, 8], 96, 384, 768), 768, 768),
    "ViT-B/32": (vit(12, 768, 32, 224, 512), 512, 512),
    "ViT-B/16": (vit(12, 768, 16, 224, 512), 512, 512),
}
SIZES = {  # image size, layers, width, heads of the image tower; heads of the text tower
    "RN50": (224, [3, 4, 6, 3], 64, 32, 8),
    "RN101": (224, [3, 4, 23, 3], 64, 32, 8),
    "RN50x4": (288, [4, 6, 10, 6], 80, 40, 10),
    "RN50x16": (384, [6, 8, 18, 8], 96, 48, 12),
    "ViT-B/32": (224, 12, 768, 12, 8),
    "ViT-B/16": (224, 12, 768, 12, 8),
}


def released_shapes(name):
    image_tower, embed_dim, width = RELEASED[name]
    return {**text_tower(embed_dim, width, 12, 49408, 77), **image_tower}


def hollow(shapes):
    """Tensors of these shapes that take no memory."""
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


def tiny_clip_shapes(kind):
    """A CLIP with OpenAI's names of 64 (ViT) or 32 (ResNet) pixels, features of length 24."""
    images = {
        "vit": vit(2, 64, 32, 64, 24),
        "resnet": modified_resnet([1, 1, 1, 1], 16, 64, 24),
    }
    return {**text_tower(24, 64, 2, TOKENS, MAX_TOKENS), **images[kind]}


def fill(shapes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.tensor(0)
        if name.endswith("num_batches_tracked")
        else torch.rand(shape, generator=generator) / max(1, shape[-1] if shape else 1) ** 0.5
        for name, shape in shapes.items()
    }


def global_shapes(features=24, dim=16):
    """The authors' CLIP stream at another size than theirs."""
    scale = {512: features, 1024: dim, 2048: 2 * dim}
    shapes = SHAPES["vitb32"]["global"]
    return {name: [scale.get(size, size) for size in shape] for name, shape in shapes.items()}


def local_state():
    """The authors' CNN stream at full size, all zeros, in a few kilobytes."""
    return {
        name: torch.zeros(1).expand(shape) if shape else torch.tensor(0)
        for name, shape in SHAPES["rn50"]["local"].items()
    }


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture
def files(tmp_path):
    """The arguments of a conversion of the CLIP stream alone, and their files."""
    torch.save({"model_state_dict": fill(global_shapes())}, tmp_path / "global.pth")
    torch.save(fill(tiny_clip_shapes("vit")), tmp_path / "clip.pt")
    return {"global_weights": tmp_path / "global.pth", "clip": tmp_path / "clip.pt"}


@pytest.fixture
def local_files(tmp_path):
    torch.save({"model_state_dict": local_state()}, tmp_path / "local.pth")
    (tmp_path / "captions.json").write_text(json.dumps(CAPTIONS))
    return {"local_weights": tmp_path / "local.pth", "captions": tmp_path / "captions.json"}


def rewrite(file, **changes):
    """Change tensors of a `.pth` of the authors; None takes one away."""
    state = torch.load(file, weights_only=True)["model_state_dict"]
    state = {name: tensor for name, tensor in {**state, **changes}.items() if tensor is not None}
    torch.save({"model_state_dict": state}, file)


@pytest.mark.parametrize(("name", "golden"), [("RN50", "rn50"), ("ViT-B/32", "vitb32")])
def test_the_shapes_written_out_here_are_the_released_ones(name, golden):
    assert released_shapes(name) == SHAPES[golden]["clip"]


@pytest.mark.parametrize("name", RELEASED)
def test_every_backbones_sizes_are_read_from_its_tensors(name):
    state = hollow(released_shapes(name))
    config = backbone_config(state, name)
    with torch.device("meta"):
        expected = ClipBackbone(config).state_dict()
    require_fit(backbone_weights(state, name), expected, name)
    image_size, layers, width, heads, text_heads = SIZES[name]
    vision, text = config.vision_config, config.text_config
    assert vision.image_size == image_size
    assert vision.num_attention_heads == heads
    if name.startswith("RN"):
        assert (vision.layers, vision.width) == (layers, width)
    else:
        assert (vision.num_hidden_layers, vision.hidden_size) == (layers, width)
    assert (text.num_attention_heads, text.num_hidden_layers) == (text_heads, 12)
    assert (text.eos_token_id, text.max_position_embeddings) == (49407, 77)
    assert config.projection_dim == RELEASED[name][1]


@pytest.mark.parametrize("kind", ["vit", "resnet"])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_clip_stream_alone_becomes_a_whole_checkpoint(files, tmp_path, kind, suffix):
    clip = tmp_path / f"{kind}{suffix}"
    state = fill(tiny_clip_shapes(kind))
    save_file(state, clip) if suffix == ".safetensors" else torch.save(state, clip)
    merges = tmp_path / "bpe_simple_vocab_16e6.txt.gz"
    merges.write_bytes(gzip.compress(merges_text(TOKENS).encode()))
    out = convert(tmp_path / "out", global_weights=files["global_weights"], clip=clip)
    loaded = checkpoint.load(out)
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


def test_half_precision_archives_as_openai_releases_them_are_read(files, tmp_path):
    class Released(nn.Module):
        """A TorchScript archive with OpenAI's names, in half precision."""

        def __init__(self, state):
            super().__init__()
            for name, tensor in state.items():
                *path, leaf = name.split(".")
                place = self
                for step in path:
                    if not hasattr(place, step):
                        place.add_module(step, nn.Module())
                    place = getattr(place, step)
                kept = tensor.half() if tensor.is_floating_point() else tensor
                place.register_buffer(leaf, kept)
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


def test_the_command_converts_and_says_where_to(files, tmp_path):
    """In a process of its own, from another directory, without a network."""
    options = {"--global-weights": "global.pth", "--clip": "clip.pt", "--out": "made/here"}
    arguments = [word for pair in options.items() for word in pair]
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(
        [sys.executable, "-m", "dwc", "convert", *arguments, "--template", "plain"],
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


def test_without_a_tokenizer_it_is_written_and_the_cure_told(files, tmp_path, caplog):
    out = convert(tmp_path / "out", **files)
    (told,) = [record.getMessage() for record in caplog.records if record.name.startswith("dwc")]
    for part in (str(out), "without CLIP's tokenizer", "token ids", "--clip-tokenizer PATH"):
        assert part in told
    with pytest.raises(CheckpointError, match=r"no clip_tokenizer.*--clip-tokenizer PATH"):
        checkpoint.load(out)
    assert DWCProcessor.from_pretrained(out).clip_tokenizer is None
    ids = torch.tensor([[TOKENS - 2, 5, TOKENS - 1]])
    query = DWCModel.from_pretrained(out).compose(torch.zeros(1, 3, 64, 64), clip_input_ids=ids)
    assert query.embedding.isfinite().all()

    caplog.clear()
    (tmp_path / "merges.txt").write_text(merges_text(TOKENS))
    convert(out, **files, clip_tokenizer=tmp_path / "merges.txt")  # the cure, in the same place
    assert len(checkpoint.load(out).processor.clip_tokenizer) == TOKENS
    assert not [record for record in caplog.records if record.name.startswith("dwc")]


def test_a_mistake_is_told_without_a_traceback(tmp_path, capsys):
    missing = str(tmp_path / "none.pth")
    assert main(["convert", "--global-weights", missing, "--clip", missing, "--out", "x"]) == 2
    assert "none.pth" in capsys.readouterr().err


@pytest.mark.parametrize("clip", ["/nowhere/clip.pt", "nowhere/at/all"])
def test_a_clip_that_is_not_there_is_named(files, tmp_path, clip):
    with pytest.raises(CheckpointError, match=f"no file {clip}"):
        convert(tmp_path / "out", global_weights=files["global_weights"], clip=clip)


def test_tensors_that_no_rule_knows_are_listed(files, tmp_path):
    rewrite(files["global_weights"], **{"head.weight": torch.zeros(1), "zeta": torch.zeros(1)})
    with pytest.raises(CheckpointError, match=r"global\.pth.*head\.weight, zeta"):
        convert(tmp_path / "out", **files)
    assert not (tmp_path / "out").exists()


def test_a_clip_with_unknown_tensors_is_refused(files, tmp_path):
    state = {**fill(tiny_clip_shapes("vit")), "visual.extra": torch.zeros(1)}
    torch.save(state, files["clip"])
    with pytest.raises(CheckpointError, match=r"visual\.extra"):
        convert(tmp_path / "out", **files)


def test_missing_and_misshapen_tensors_are_listed(files, tmp_path):
    rewrite(
        files["global_weights"],
        **{"atten_I.3.bias": None, "dynamic_scalar.0.bias": torch.zeros(3)},
    )
    with pytest.raises(CheckpointError) as caught:
        convert(tmp_path / "out", **files)
    assert re.search(r"missing: clip_stream\.combiner\.edit_image\.3\.bias", str(caught.value))
    assert re.search(
        r"misshapen: clip_stream\.combiner\.weigh\.0\.bias \(found \(3,\), expected \(16,\)\)",
        str(caught.value),
    )
    assert not (tmp_path / "out").exists()


def test_a_clip_of_another_size_than_the_stream_is_refused(files, tmp_path):
    torch.save({"model_state_dict": fill(global_shapes(features=40))}, files["global_weights"])
    with pytest.raises(CheckpointError, match=r"project_image.*\(16, 40\), expected \(16, 24\)"):
        convert(tmp_path / "out", **files)


@pytest.mark.parametrize("taken", ["ln_final.weight", "visual.conv1.weight"])
def test_a_clip_whose_size_cannot_be_told_is_refused(files, tmp_path, taken):
    state = fill(tiny_clip_shapes("vit"))
    del state[taken]
    torch.save(state, files["clip"])
    with pytest.raises(CheckpointError, match=re.escape(taken)):
        convert(tmp_path / "out", **files)


def test_unused_modules_of_the_authors_are_known_and_left_behind():
    unused = re.compile(r"loss_weight|fc_ret.*|fc_rei.*|combine\..*|txt_model\.fc_output.*")
    state = local_state()
    renamed = cnn_stream_weights(state, "local.pth")
    left = [name for name in state if unused.fullmatch(name)]
    assert len(left) == 11
    assert len(renamed) == len(state) - len(left)


def test_captions_of_another_vocabulary_are_refused(local_files, tmp_path):
    local_files["captions"].write_text(json.dumps(CAPTIONS[:3]))
    with pytest.raises(CheckpointError, match=r"words .* has 33 rows"):
        convert(tmp_path / "out", **local_files)


@pytest.mark.parametrize("content", ['"is red"', "[1, 2]", '{"is": "red"}', "not json", "[[]]"])
def test_captions_that_are_neither_list_nor_table_are_refused(local_files, tmp_path, content):
    local_files["captions"].write_text(content)
    with pytest.raises(CheckpointError, match=r"captions\.json"):
        convert(tmp_path / "out", **local_files)


def test_a_cnn_stream_that_is_not_whole_is_refused(local_files, tmp_path):
    rewrite(local_files["local_weights"], **{"img_model.layer3.5.bn2.running_var": None})
    with pytest.raises(CheckpointError, match=r"stages\.2\.layers\.5\..*running_var"):
        convert(tmp_path / "out", **local_files)


@pytest.mark.slow
def test_a_cnn_stream_alone_becomes_a_checkpoint_with_the_words_of_a_table(local_files, tmp_path):
    table = json.loads((GOLDEN / "golden_rn50.json").read_text())["word_ids"]
    local_files["captions"].write_text(json.dumps(table))
    out = convert(tmp_path / "out", **local_files)
    model, processor = DWCModel.from_pretrained(out), DWCProcessor.from_pretrained(out)
    assert model.clip is None
    assert processor.word_tokenizer.get_vocab() == table
    with torch.inference_mode():
        query = model.compose(pixel_values=torch.zeros(1, 3, 224, 224), **processor(text="is red"))
    assert list(query.streams) == ["cnn"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ((), "no weights are given"),
        (("global_weights",), "--global-weights and --clip go together"),
        (("clip", "local_weights", "captions"), "--global-weights and --clip go together"),
        (("local_weights",), "--local-weights and --captions go together"),
    ],
)
def test_what_goes_together_is_asked_for_together(files, local_files, tmp_path, given, told):
    everything = {**files, **local_files}
    with pytest.raises(CheckpointError, match=told):
        convert(tmp_path / "out", **{name: everything[name] for name in given})


class Evil:
    def __reduce__(self):
        return exec, ("raise SystemExit('ran')",)


@pytest.mark.parametrize("which", ["global_weights", "clip"])
def test_a_pickle_that_would_run_code_is_not_read(files, tmp_path, which):
    with files[which].open("wb") as file:
        pickle.dump({"model_state_dict": Evil()}, file)
    with pytest.raises(CheckpointError):
        convert(tmp_path / "out", **files)
    torch.save({"model_state_dict": Evil()}, files[which])
    with pytest.raises(CheckpointError, match="could run code"):
        convert(tmp_path / "out", **files)


@pytest.mark.parametrize(
    "content", [{"state_dict": {}}, [1], {"model_state_dict": {"img_fc.0.bias": 1}}]
)
def test_a_file_that_is_no_checkpoint_of_the_authors_is_refused(files, tmp_path, content):
    torch.save(content, files["global_weights"])
    with pytest.raises(CheckpointError, match=r"global\.pth"):
        convert(tmp_path / "out", **files)


@pytest.mark.parametrize("which", ["global_weights", "clip"])
def test_a_file_cut_short_is_refused(files, tmp_path, which):
    files[which].write_bytes(files[which].read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=re.escape(files[which].name)):
        convert(tmp_path / "out", **files)


def test_a_tokenizer_of_another_clip_is_refused(files, tmp_path):
    train_clip_tokenizer(CAPTIONS, 520).save_pretrained(tmp_path / "tokenizer")
    with pytest.raises(CheckpointError, match=f"520 tokens.*{TOKENS} rows"):
        convert(tmp_path / "out", **files, clip_tokenizer=tmp_path / "tokenizer")
    (tmp_path / "merges.txt").write_text("#version: 0.2\ni n\n")
    with pytest.raises(CheckpointError, match=r"1 merges.*room for 86"):
        convert(tmp_path / "out", **files, clip_tokenizer=tmp_path / "merges.txt")
    assert not (tmp_path / "out").exists()
