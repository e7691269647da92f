"""Renaming of tensors from the names of another project to those of this project, and back.

A `Rule` maps names of the other project to names of this project. A tensor whose name matches no
rule causes an error, so that no tensor is lost unnoticed.

The second half of this module has the rules for the paper authors' code (`fuxianghuang1/DWC`,
commit 5f32a7e). The authors' checkpoint consists of two files, each with a dict
`{"model_state_dict": …}`. The first file has the "global" stream, which is called the CLIP stream
in this project (CLIP itself is not in the file). The second file has the "local" stream, called the
CNN stream in this project. Both files also have modules that retrieval does not use.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor

from dwc.errors import CheckpointError, list_names
from dwc.modeling.configuration_dwc import CnnStreamConfig

# Regular expressions of the placeholders in a rule.
_PLACEHOLDERS = {
    "n": r"\d+",
    "leaf": "weight|bias",
    "statistic": "weight|bias|running_mean|running_var|num_batches_tracked",
}


@dataclass(frozen=True)
class Rule:
    """A rule that renames the tensors whose names match a pattern.

    Example: `Rule("img_fc.0.{leaf}", ("project_image.{leaf}",))`.

    Attributes:
        theirs: The pattern of names in the other project. `{n}` stands for any number, `{leaf}` for
            weight or bias, `{statistic}` for any tensor of a batch norm.
        ours: The corresponding names in this project, with the same placeholders. If there are
            several names, the tensor is split evenly along its first axis, one piece per name. If
            there are no names, this project does not use the tensor.
        transposed: Whether the two axes of a matrix are swapped.
    """

    theirs: str
    ours: tuple[str, ...]
    transposed: bool = False


def rename(
    state: Mapping[str, Tensor], rules: Sequence[Rule], source: str, kind: str
) -> dict[str, Tensor]:
    """Return the tensors of another project under this project's names.

    The returned tensors share memory with the given ones.

    Args:
        state: Tensors by the other project's names.
        rules: The rules; for each name, the first rule that matches is used.
        source: Where the tensors were read from; used in messages.
        kind: The expected kind of model, for messages.

    Raises:
        CheckpointError: Some names match no rule; the message lists them.
    """
    renamed: dict[str, Tensor] = {}
    for name, targets, transposed in _follow(state, rules, source, kind):
        tensor = state[name].T if transposed else state[name]
        pieces = tensor.chunk(len(targets)) if len(targets) > 1 else (tensor,)
        renamed.update(zip(targets, pieces, strict=bool(targets)))
    return renamed


def rename_back(state: Mapping[str, Tensor], rules: Sequence[Rule]) -> dict[str, Tensor]:
    """Return the tensors of this project under the other project's names; the reverse of `rename`.

    Split tensors are joined, and transposed ones are transposed back. The result lacks the tensors
    that this project does not use.

    Args:
        state: Tensors by this project's names.
        rules: The rules that `rename` uses.

    Raises:
        CheckpointError: No rule leads to the names of some tensors; the message lists these names.
    """
    theirs: dict[str, Tensor] = {}
    used: set[str] = set()
    for name in state:
        for rule in rules:
            match = _pattern(rule.ours[0]).fullmatch(name) if rule.ours else None
            if match is None:
                continue
            names = [ours.format(**match.groupdict()) for ours in rule.ours]
            tensors = [state[part] for part in names]
            joined = torch.cat(tensors) if len(tensors) > 1 else tensors[0]
            theirs[rule.theirs.format(**match.groupdict())] = (
                joined.T if rule.transposed else joined
            )
            used.update(names)
            break
    if unknown := [name for name in state if name not in used]:
        raise CheckpointError(
            f"these tensors have no foreign name: {list_names(unknown)}. They belong to another "
            "kind of model; nothing was written"
        )
    return theirs


def moves(names: Sequence[str], rules: Sequence[Rule]) -> dict[str, tuple[str, ...]]:
    """Return the names in this project that correspond to each name of the other project.

    Returns:
        A dict from each of `names` to a tuple of names, empty if this project does not use the
        tensor.

    Raises:
        CheckpointError: Some names match no rule; the message lists them.
    """
    return {
        name: targets
        for name, targets, _ in _follow(dict.fromkeys(names), rules, "the file", "the model")
    }


def require_fit(state: Mapping[str, Tensor], expected: Mapping[str, Tensor], source: str) -> None:
    """Check that tensors have the names and shapes that a model expects.

    Args:
        state: The tensors by name.
        expected: Tensors with the expected names and shapes.
        source: Where `state` was read, for messages.

    Raises:
        CheckpointError: Tensors are missing, unexpected or of wrong shape; the message lists them.
    """
    problems = {
        "missing": [name for name in expected if name not in state],
        "unexpected": [name for name in state if name not in expected],
        "misshapen": [
            f"{name} (found {tuple(tensor.shape)}, expected {tuple(expected[name].shape)})"
            for name, tensor in state.items()
            if name in expected and tensor.shape != expected[name].shape
        ],
    }
    lines = [f"  {problem}: {list_names(names)}" for problem, names in problems.items() if names]
    if lines:
        raise CheckpointError(
            f"{source}: the tensors do not fit the model (names are this project's):\n"
            + "\n".join(lines)
            + "\nCheck that the files belong together; nothing was written"
        )


def _follow(
    names: Mapping[str, object], rules: Sequence[Rule], source: str, kind: str
) -> list[tuple[str, tuple[str, ...], bool]]:
    """Find the new names of the tensors of another project.

    Args:
        names: The tensors' names in the other project; the values of the mapping are ignored.
        rules: The rules for renaming; for each name, the first rule that matches is used.
        source: Where the names were read, for messages.
        kind: The expected kind of model, for messages.

    Returns:
        For each name: the name, the corresponding names in this project, and whether the tensor is
        transposed.

    Raises:
        CheckpointError: Some names match no rule; the message lists them.
    """
    matches = []
    unknown = []
    for name in names:
        for rule in rules:
            if match := _pattern(rule.theirs).fullmatch(name):
                targets = tuple(ours.format(**match.groupdict()) for ours in rule.ours)
                matches.append((name, targets, rule.transposed))
                break
        else:
            unknown.append(name)
    if unknown:
        raise CheckpointError(
            f"{source} has tensors that {kind} does not: {list_names(unknown)}. Check that the "
            "right file was given; nothing was written"
        )
    return matches


@lru_cache(maxsize=1024)
def _pattern(template: str) -> re.Pattern[str]:
    """Return the regular expression for a rule's pattern of names, such as `img_fc.0.{leaf}`."""
    pieces = re.split(r"\{(\w+)\}", template)  # text and placeholders alternate
    return re.compile(
        "".join(
            f"(?P<{piece}>{_PLACEHOLDERS[piece]})" if number % 2 else re.escape(piece)
            for number, piece in enumerate(pieces)
        )
    )


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

    The authors' layer numbers also count activations: `branch1.0` is the first layer of a branch,
    `branch1.1` is an activation, and `branch1.2` is the second layer.
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
    """Return the tensors of the authors' CLIP stream under the names of `ClipStream`.

    Args:
        state: The tensors of the authors' "global" file, under the authors' names.
        source: Where the tensors were read, for messages.

    Raises:
        CheckpointError: There are unknown names; the message lists them.
    """
    return rename(state, GLOBAL_RULES, source, GLOBAL)


def cnn_stream_weights(state: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """Return the tensors of the authors' CNN stream under the names of `CnnStream`.

    Args:
        state: The tensors of the authors' "local" file, under the authors' names.
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
    authors' code never uses are filled with zeros. The trainable loss weight gets its initial
    value.
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
