"""The other way: what the authors' code can load of a checkpoint, the same bit by bit."""

import json

import pytest
import torch

from dwc.checkpoints import load
from dwc.checkpoints.load import Checkpoint
from dwc.checkpoints.validate import prepared_image_size
from dwc.cli import main
from dwc.convert import convert, convert_to_authors
from dwc.errors import CheckpointError
from dwc.modeling.configuration_dwc import CnnStreamConfig, DWCConfig
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import DWCProcessor, build_word_tokenizer
from tests.convert.state_dicts import (
    GOLDEN,
    SHAPES,
    fill,
    global_shapes,
    local_state,
    tiny_clip_shapes,
)
from tests.training.tiny import tiny_model, tiny_processor


def read(file):
    return torch.load(file, weights_only=True)


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["vit", "resnet"])
def test_a_clip_stream_goes_there_and_back_bit_by_bit(kind, tmp_path, capsys):
    stream, clip = fill(global_shapes()), fill(tiny_clip_shapes(kind), seed=1)
    torch.save({"model_state_dict": stream}, tmp_path / "global.pth")
    torch.save(clip, tmp_path / "clip.pt")
    sources = {"global_weights": tmp_path / "global.pth", "clip": tmp_path / "clip.pt"}
    first = convert(tmp_path / "first", **sources)

    theirs = tmp_path / "theirs"
    assert main(["convert", "--to-authors", str(first), "--out", str(theirs)]) == 0
    assert sorted(file.name for file in theirs.iterdir()) == ["clip.pt", "global.pth"]
    assert same(read(theirs / "clip.pt"), clip)
    content = read(theirs / "global.pth")
    assert list(content) == ["model_state_dict"]
    written = content["model_state_dict"]
    assert written.pop("loss_weight").shape == stream.pop("loss_weight").shape
    assert same(written, stream)
    message = capsys.readouterr().out
    assert "the CNN stream was not written: the checkpoint has none" in message
    assert "--image_embed_dim 16, and have their clip.load read clip.pt" in message

    again = convert(
        tmp_path / "again", global_weights=theirs / "global.pth", clip=theirs / "clip.pt"
    )
    assert load.fingerprint(again) == load.fingerprint(first)


@pytest.mark.slow
def test_a_cnn_stream_goes_there_and_back_bit_by_bit(tmp_path):
    """At full size, with the words of a table, and pictures as for the larger CLIPs."""
    state = local_state()
    torch.save({"model_state_dict": state}, tmp_path / "local.pth")
    table = json.loads((GOLDEN / "golden_rn50.json").read_text())["word_ids"]
    (tmp_path / "table.json").write_text(json.dumps({"word2id": table, "wordcount": {}}))
    sources = {"local_weights": tmp_path / "local.pth", "captions": tmp_path / "table.json"}
    first = convert(tmp_path / "first", **sources, image_size_px=288)

    loaded = load.load(first)
    assert loaded.model.clip is None
    assert loaded.processor.word_tokenizer.get_vocab() == table
    assert prepared_image_size(loaded.processor) == (288, 288)
    message = []
    files = convert_to_authors(tmp_path / "theirs", loaded, message.append)
    assert sorted(files) == ["captions.json", "local.pth"]
    written = read(files["local.pth"])["model_state_dict"]
    assert {name: list(one.shape) for name, one in written.items()} == SHAPES["rn50"]["local"]
    unused = [name for name in written if not torch.equal(written[name], state[name])]
    assert len(unused) == 11  # what their code never reads
    assert any("give TextLSTMModel captions.json" in line for line in message)
    assert not any("prepared otherwise" in line for line in message)

    again = convert(
        tmp_path / "again",
        local_weights=files["local.pth"],
        captions=files["captions.json"],
        image_size_px=288,
    )
    assert load.fingerprint(again) == loaded.fingerprint


def test_what_their_code_cannot_load_is_reported_and_nothing_written(tmp_path):
    processor = tiny_processor()
    loaded = Checkpoint(tiny_model(processor).eval(), processor, "0" * 12, "tiny")
    with pytest.raises(CheckpointError) as caught:
        convert_to_authors(tmp_path / "theirs", loaded, print)
    message = str(caught.value)
    for reason in (
        "can load neither stream of tiny",
        "CLIP stream: OpenAI's code cannot build its CLIP",
        "hidden_dim is 32, theirs 1024",
        "resnet_config.depths is [1, 1], theirs [3, 4, 6, 3]",
        "cnn_embedding_dim is 32, theirs 1024",
        "nothing was written",
    ):
        assert reason in message
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def clip_alone(tmp_path):
    torch.save({"model_state_dict": fill(global_shapes())}, tmp_path / "global.pth")
    torch.save(fill(tiny_clip_shapes("vit")), tmp_path / "clip.pt")
    return load.load(
        convert(
            tmp_path / "ours",
            global_weights=tmp_path / "global.pth",
            clip=tmp_path / "clip.pt",
        ),
        clip_tokenizer_optional=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tower", "change", "message"),
    [
        ("text_config", {"hidden_act": "gelu"}, "text_config.hidden_act is 'gelu', OpenAI's code"),
        ("text_config", {"num_attention_heads": 2}, "text_config.num_attention_heads is 2"),
        ("vision_config", {"layer_norm_eps": 1e-6}, "vision_config.layer_norm_eps is 1e-06"),
        ("text_config", {"eos_token_id": 5}, "text_config.eos_token_id is 5"),
    ],
)
def test_a_clip_that_openais_code_would_take_for_another_is_not_written(
    clip_alone, tmp_path, tower, change, message
):
    """The tensors fit, and their code would compute something else."""
    for field, value in change.items():
        setattr(getattr(clip_alone.model.config.clip_config, tower), field, value)
    with pytest.raises(CheckpointError, match=message):
        convert_to_authors(tmp_path / "theirs", clip_alone, print)
    assert not (tmp_path / "theirs").exists()


def test_another_combiner_is_not_written(tmp_path):
    processor = tiny_processor()
    model = tiny_model(processor).eval()
    model.config.combiner = "average"
    loaded = Checkpoint(model, processor, "0" * 12, "tiny")
    with pytest.raises(CheckpointError, match="combiner is 'average', theirs is DWC's"):
        convert_to_authors(tmp_path / "theirs", loaded, print)


def test_image_attributes_are_not_written(tmp_path):
    processor = tiny_processor()
    model = tiny_model(processor).eval()
    model.config.image_attributes = {"colour": ["red", "blue"]}
    loaded = Checkpoint(model, processor, "0" * 12, "tiny")
    with pytest.raises(CheckpointError, match=r"uses image attributes \(colour\), theirs has none"):
        convert_to_authors(tmp_path / "theirs", loaded, print)


def test_words_that_their_tokeniser_never_makes_are_an_obstacle(tmp_path):
    table = {"<UNK>": 0, "<AND>": 1, "<BOS>": 2, "<EOS>": 3, "v-neck": 4}
    processor = DWCProcessor(tiny_processor().image_processor, None, build_word_tokenizer(table))
    config = DWCConfig(cnn_config=CnnStreamConfig(vocab_size=5))
    with torch.device("meta"):
        model = DWCModel(config)
    with pytest.raises(CheckpointError, match="never makes"):
        convert_to_authors(tmp_path / "theirs", Checkpoint(model, processor, "", "big"), print)


def test_the_ways_are_not_mixed(tmp_path, capsys):
    arguments = ["--to-authors", "somewhere", "--clip", "clip.pt", "--out", str(tmp_path / "out")]
    assert main(["convert", *arguments]) == 2
    assert "--clip belongs to the other way" in capsys.readouterr().err
