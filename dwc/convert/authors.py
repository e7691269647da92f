"""The authors' names of the two streams (`fuxianghuang1/DWC`, commit 5f32a7e).

Their checkpoint is two files, `{"model_state_dict": …}` each: the "global" stream over CLIP's
features, which are not in it, and the "local" stream. Both hold modules whose outputs are never
used when searching.
"""

from collections.abc import Mapping

from torch import Tensor

from dwc.convert.renaming import Rule, rename
from dwc.errors import CheckpointError
from dwc.modeling.configuration import CnnStreamConfig

_UNUSED = ()

# Left is the authors' name (LEAF is weight, bias or a statistic), right is ours.
_LEAF = r"(weight|bias|running_mean|running_var|num_batches_tracked)"

_GLOBAL_RULES = (
    Rule(r"img_fc\.0\.(weight|bias)", (r"project_image.\1",)),
    Rule(r"txt_fc\.0\.(weight|bias)", (r"project_text.\1",)),
    Rule(r"atten_I\.(0|3)\.(weight|bias)", (r"combiner.edit_image.\1.\2",)),
    Rule(r"atten_T\.(0|3)\.(weight|bias)", (r"combiner.edit_text.\1.\2",)),
    Rule(r"dynamic_scalar\.(0|3)\.(weight|bias)", (r"combiner.weigh.\1.\2",)),
    Rule(r"loss_weight", _UNUSED),
)


def _resnet_rules() -> list[Rule]:
    """torchvision's names of a ResNet with bottlenecks -> transformers'."""
    resnet = r"resnet.encoder.stages"
    rules = [
        Rule(r"img_model\.conv1\.weight", ("resnet.embedder.embedder.convolution.weight",)),
        Rule(rf"img_model\.bn1\.{_LEAF}", (r"resnet.embedder.embedder.normalization.\1",)),
    ]
    for stage in range(4):
        block = rf"img_model\.layer{stage + 1}\.(\d+)"
        for step in range(3):
            target = rf"{resnet}.{stage}.layers.\1.layer.{step}"
            rules += [
                Rule(rf"{block}\.conv{step + 1}\.weight", (rf"{target}.convolution.weight",)),
                Rule(rf"{block}\.bn{step + 1}\.{_LEAF}", (rf"{target}.normalization.\2",)),
            ]
        shortcut = rf"{resnet}.{stage}.layers.\1.shortcut"
        rules += [
            Rule(rf"{block}\.downsample\.0\.weight", (rf"{shortcut}.convolution.weight",)),
            Rule(rf"{block}\.downsample\.1\.{_LEAF}", (rf"{shortcut}.normalization.\2",)),
        ]
    return rules


def _inception_rules() -> list[Rule]:
    """The five Inception blocks; the authors number layers, in which activations count as well."""
    blocks = {
        "imgconv": "embed_regions",
        "imgatt": "gate_image",
        "txt2img": "add_image",
        "txtatt": "gate_text",
        "img2txt": "add_text",
    }
    steps = {
        r"branch0": "point.0",
        r"branch1\.0": "narrow.0",
        r"branch1\.2": "narrow.1",
        r"branch2\.0": "wide.0",
        r"branch2\.2": "wide.1",
        r"branch2\.4": "wide.2",
        r"branch3\.1": "pooled.0",
    }
    rules = []
    for block, ours in blocks.items():
        for step, position in steps.items():
            place = rf"{block}\.0\.{step}"
            rules += [
                Rule(rf"{place}\.conv\.weight", (f"{ours}.{position}.convolution.weight",)),
                Rule(rf"{place}\.bn\.{_LEAF}", (rf"{ours}.{position}.normalisation.\1",)),
            ]
    return rules


_LOCAL_RULES = (
    *_resnet_rules(),
    *_inception_rules(),
    Rule(r"txt_model\.embedding_layer\.weight", ("word_encoder.embedding.weight",)),
    Rule(r"txt_model\.lstm\.((?:weight|bias)_[ih]h_l0)", (r"word_encoder.lstm.\1",)),
    Rule(r"pool_i\.p", ("pool_image.p",)),
    Rule(r"pool_t\.p", ("pool_text.p",)),
    Rule(r"img_pool\.p", ("pool_gallery.p",)),
    Rule(r"img_fc\.(weight|bias)", (r"project_image.\1",)),
    Rule(r"fc_txt\.(weight|bias)", (r"project_text.\1",)),
    Rule(r"dynamic_scalar\.(0|3)\.(weight|bias)", (r"weigh.\1.\2",)),
    Rule(r"txt_model\.fc_output\.1\.(weight|bias)", _UNUSED),
    Rule(r"fc_(ret|rei)\.(weight|bias)", _UNUSED),
    Rule(r"combine\.(0|3)\.(weight|bias)", _UNUSED),
    Rule(r"loss_weight", _UNUSED),
)


def clip_stream_weights(state: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """The "global" state dict under `ClipStream`'s names; CheckpointError lists unknown ones."""
    return rename(state, _GLOBAL_RULES, source, "the authors' global (CLIP) stream")


def cnn_stream_weights(state: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """The "local" state dict under `CnnStream`'s names; CheckpointError lists unknown ones."""
    return rename(state, _LOCAL_RULES, source, "the authors' local (CNN) stream")


def cnn_stream_config(weights: Mapping[str, Tensor], source: str) -> CnnStreamConfig:
    """The sizes that the CNN stream's tensors (under our names) tell; the ResNet is a 50."""
    try:
        vocab_size, word_dim = weights["word_encoder.embedding.weight"].shape
        hidden_dim = weights["word_encoder.lstm.weight_hh_l0"].shape[1]
    except KeyError as error:
        raise CheckpointError(
            f"{source} lacks {error}, which tells the size of the CNN stream; give the authors' "
            "local weights"
        ) from error
    return CnnStreamConfig(
        vocab_size=vocab_size, word_embedding_dim=word_dim, hidden_dim=hidden_dim
    )
