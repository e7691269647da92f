"""A model of transformers is taken whole, but for what is said to be left out."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPModel, ResNetConfig, ResNetForImageClassification, ResNetModel

from dwc.convert.sources import read_captions, read_whole, split_revision
from dwc.errors import CheckpointError

CURE = "Give another."
WEIGHT = "resnet.embedder.embedder.convolution.weight"


@pytest.fixture(scope="module")
def classifier():
    torch.manual_seed(0)
    sizes = {"embedding_size": 4, "hidden_sizes": [8, 8], "depths": [1, 1]}
    return ResNetForImageClassification(ResNetConfig(**sizes, layer_type="basic", num_labels=3))


@pytest.fixture
def folder(classifier, tmp_path):
    classifier.save_pretrained(tmp_path / "resnet")
    return tmp_path / "resnet"


def read(folder, **options):
    return read_whole(ResNetModel, folder, CURE, unread=("classifier.",), **options)


def change(folder, **tensors):
    """Put tensors in place of those in the file; None takes one away."""
    file = folder / "model.safetensors"
    weights = {**load_file(file), **tensors}
    stored = {name: tensor for name, tensor in weights.items() if tensor is not None}
    save_file(stored, file, {"format": "pt"})


def test_a_whole_one_is_read_without_its_classifier(classifier, folder):
    model = read(folder)
    assert not model.training
    assert all(
        torch.equal(tensor, classifier.resnet.state_dict()[name])
        for name, tensor in model.state_dict().items()
    )


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({WEIGHT: None}, r"missing: embedder\.embedder\.convolution\.weight\."),
        (
            {WEIGHT: torch.zeros(4, 3)},
            r"misshapen: embedder.*\(found \(4, 3\), expected \(4, 3, 7, 7\)\)\.",
        ),
        ({"resnet.extra": torch.zeros(1)}, r"unexpected: (resnet\.)?extra\."),
    ],
)
def test_what_is_not_whole_is_reported_with_the_cure(folder, tensors, message):
    change(folder, **tensors)
    with pytest.raises(CheckpointError, match=f"is not a whole 'resnet': {message} {CURE}"):
        read(folder)


def test_tensors_that_nothing_reads_may_be_lacking(folder):
    counter = "resnet.embedder.embedder.normalization.num_batches_tracked"
    change(folder, **{counter: None})
    with pytest.raises(CheckpointError, match=r"missing: .*num_batches_tracked"):
        read(folder)
    read(folder, spare=(".num_batches_tracked",))


def test_a_model_of_another_type_is_refused(folder):
    with pytest.raises(CheckpointError, match=f"of type 'resnet', not 'clip'. {CURE}"):
        read_whole(CLIPModel, folder, CURE)


def test_what_is_not_there_is_reported(tmp_path):
    message = f"(?s)nowhere cannot be loaded as a 'resnet' of transformers.* {CURE}"
    with pytest.raises(CheckpointError, match=message):
        read(tmp_path / "nowhere")


def test_only_a_hub_name_carries_a_revision(tmp_path):
    (tmp_path / "a@b").mkdir()
    assert split_revision(tmp_path / "a@b") == (str(tmp_path / "a@b"), "")
    assert split_revision("owner/name@v2") == ("owner/name", "v2")
    assert split_revision("owner/name") == ("owner/name", "")


def test_captions_with_a_byte_order_mark_are_read(tmp_path):
    file = tmp_path / "captions.json"
    file.write_bytes(b'\xef\xbb\xbf["in red", "longer"]')
    assert read_captions(file) == ["in red", "longer"]
