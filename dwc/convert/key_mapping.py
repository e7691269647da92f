"""Rules that rename tensors from the names of another project to those of this project, and back.

A tensor whose name matches no rule causes an error, so that no tensor is lost unnoticed.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from dwc.errors import CheckpointError, list_names

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
        ours: The corresponding names in this project, with the same placeholders. With several
            names, the tensor is split evenly along its first axis, one piece per name. Without
            names, this project does not use the tensor.
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
        source: Where the tensors were read, for messages.
        kind: The expected kind of model, for messages.

    Raises:
        CheckpointError: No rule matches some names; the message lists them.
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
        CheckpointError: No rule produces some of the names; the message lists them.
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
        CheckpointError: No rule matches some names; the message lists them.
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
    """Find the rule for each name of the other project; the arguments are those of `rename`.

    Returns:
        For each name: the name, the corresponding names in this project, and whether the tensor is
        transposed.

    Raises:
        CheckpointError: No rule matches some names; the message lists them.
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
