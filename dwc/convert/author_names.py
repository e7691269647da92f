"""The tensor names that the paper authors' code uses (`fuxianghuang1/DWC`, commit 5f32a7e).

The authors' checkpoint consists of two files, each with a dict `{"model_state_dict": …}`. The first
file has the "global" stream, which is called the CLIP stream in this project (CLIP itself is not in
the file). The second file has the "local" stream, called the CNN stream in this project. Both files
also have modules that retrieval does not use.
"""

from collections.abc import Mapping

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor

from dwc.convert.key_mapping import Rule, rename, rename_back
from dwc.errors import CheckpointError
from dwc.modeling.configuration_dwc import CnnStreamConfig

GLOBAL, LOCAL = "the authors' global (CLIP) stream", "the authors' local (CNN) stream"

_UNUSED = ()
_INITIAL_LOSS_WEIGHT = 10.0

GLOBAL_RULES = (
    Rule("img_fc.0.{leaf}", ("project_image.{leaf}",)),
    Rule("txt_fc.0.{leaf}", ("project_text.{leaf}",)),
    Rule("atten_I.{n}.{leaf}", ("combiner.edit_image.{n}.{leaf}",)),
    Rule("atten_T.{n}.{leaf}", ("combiner.edit_text.{n}.{leaf}",)),
    Rule("dynamic_scalar.{n}.{leaf}", ("combiner.weigh.{n}.{leaf}",)),
    Rule("loss_weight", _UNUSED),
)


def _resnet_rules() -> list[Rule]:
    """Return rules that rename a ResNet's tensors from torchvision's to transformers' names."""
    embedder = "resnet.embedder.embedder"
    rules = [
        Rule("img_model.conv1.weight", (f"{embedder}.convolution.weight",)),
        Rule("img_model.bn1.{statistic}", (f"{embedder}.normalization.{{statistic}}",)),
    ]
    for stage in range(4):
        block = f"img_model.layer{stage + 1}.{{n}}"
        layer = f"resnet.encoder.stages.{stage}.layers.{{n}}"
        steps = {(f"conv{step + 1}", f"bn{step + 1}"): f"{layer}.layer.{step}" for step in range(3)}
        steps["downsample.0", "downsample.1"] = f"{layer}.shortcut"
        for (convolution, norm), ours in steps.items():
            rules += [
                Rule(f"{block}.{convolution}.weight", (f"{ours}.convolution.weight",)),
                Rule(f"{block}.{norm}.{{statistic}}", (f"{ours}.normalization.{{statistic}}",)),
            ]
    return rules


def _inception_rules() -> list[Rule]:
    """Return rules that rename the tensors of the CNN stream's five Inception blocks.

    In the authors' names, the numbers of layers also count activations.
    """
    blocks = {
        "imgconv": "embed_regions",
        "imgatt": "gate_image",
        "txt2img": "add_image",
        "txtatt": "gate_text",
        "img2txt": "add_text",
    }
    steps = {
        "branch0": "point.0",
        "branch1.0": "narrow.0",
        "branch1.2": "narrow.1",
        "branch2.0": "wide.0",
        "branch2.2": "wide.1",
        "branch2.4": "wide.2",
        "branch3.1": "pooled.0",
    }
    rules = []
    for block, ours in blocks.items():
        for step, position in steps.items():
            their_step, our_step = f"{block}.0.{step}", f"{ours}.{position}"
            rules += [
                Rule(f"{their_step}.conv.weight", (f"{our_step}.convolution.weight",)),
                Rule(
                    f"{their_step}.bn.{{statistic}}", (f"{our_step}.normalisation.{{statistic}}",)
                ),
            ]
    return rules


LOCAL_RULES = (
    *_resnet_rules(),
    *_inception_rules(),
    Rule("txt_model.embedding_layer.weight", ("word_encoder.embedding.weight",)),
    Rule("txt_model.lstm.{leaf}_ih_l0", ("word_encoder.lstm.{leaf}_ih_l0",)),
    Rule("txt_model.lstm.{leaf}_hh_l0", ("word_encoder.lstm.{leaf}_hh_l0",)),
    Rule("pool_i.p", ("pool_image.p",)),
    Rule("pool_t.p", ("pool_text.p",)),
    Rule("img_pool.p", ("pool_gallery.p",)),
    Rule("img_fc.{leaf}", ("project_image.{leaf}",)),
    Rule("fc_txt.{leaf}", ("project_text.{leaf}",)),
    Rule("dynamic_scalar.{n}.{leaf}", ("weigh.{n}.{leaf}",)),
    Rule("txt_model.fc_output.1.{leaf}", _UNUSED),
    Rule("fc_ret.{leaf}", _UNUSED),
    Rule("fc_rei.{leaf}", _UNUSED),
    Rule("combine.{n}.{leaf}", _UNUSED),
    Rule("loss_weight", _UNUSED),
)


def clip_stream_weights(state: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """Return the tensors of the authors' "global" file under the names of `ClipStream`.

    Args:
        state: The tensors under the authors' names.
        source: Where the tensors were read, for messages.

    Raises:
        CheckpointError: There are unknown names; the message lists them.
    """
    return rename(state, GLOBAL_RULES, source, GLOBAL)


def cnn_stream_weights(state: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """Return the tensors of the authors' "local" file under the names of `CnnStream`.

    Args:
        state: The tensors under the authors' names.
        source: Where the tensors were read, for messages.

    Raises:
        CheckpointError: There are unknown names; the message lists them.
    """
    return rename(state, LOCAL_RULES, source, LOCAL)


def cnn_stream_config(weights: Mapping[str, Tensor], source: str) -> CnnStreamConfig:
    """Derive the config of a CNN stream with a ResNet-50 from the sizes of its tensors.

    Args:
        weights: The tensors by this project's names.
        source: Where the tensors were read, for messages.

    Raises:
        CheckpointError: A tensor is missing, or the shapes do not fit a CNN stream.
    """
    try:
        vocab_size, word_dim = weights["word_encoder.embedding.weight"].shape
        hidden_dim = weights["word_encoder.lstm.weight_hh_l0"].shape[1]
        return CnnStreamConfig(
            vocab_size=vocab_size, word_embedding_dim=word_dim, hidden_dim=hidden_dim
        )
    except KeyError as error:
        raise CheckpointError(
            f"{source} lacks {error}, which shows the size of the CNN stream; give the authors' "
            "local weights"
        ) from error
    except (IndexError, ValueError, StrictDataclassError) as error:
        raise CheckpointError(
            f"the shapes of the tensors in {source} do not make a CNN stream: {error}. Check that "
            "the file is whole"
        ) from error


def global_state(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a `ClipStream` under the names that the authors' code expects."""
    return {"loss_weight": torch.tensor([_INITIAL_LOSS_WEIGHT])} | rename_back(
        weights, GLOBAL_RULES
    )


def local_state(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a `CnnStream` under the names that the authors' code expects.

    The authors' code also expects tensors that this project lacks. Tensors of modules that the
    authors' code never uses are zero here; the loss weight has its value at the start of their
    training.
    """
    dim, channels = weights["project_image.weight"].shape
    hidden = weights["word_encoder.lstm.weight_hh_l0"].shape[1]
    unused = {
        "txt_model.fc_output.1": (hidden, hidden),
        "fc_ret": (dim, channels),
        "fc_rei": (dim, hidden),
        "combine.0": (dim, 2 * dim),
        "combine.3": (dim, dim),
    }
    state = {"loss_weight": torch.tensor([_INITIAL_LOSS_WEIGHT])}
    state |= rename_back(weights, LOCAL_RULES)
    for name, shape in unused.items():
        state |= {f"{name}.weight": torch.zeros(shape), f"{name}.bias": torch.zeros(shape[0])}
    return state
