"""Rules that rename a state dict's tensors in both directions; no tensor is silently dropped."""

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
    """A rule that renames tensors with a given name or name pattern.

    Attributes:
        theirs: Foreign name. `{n}` stands for any number, `{leaf}` for weight or bias,
            `{statistic}` for any tensor of a batch norm.
        ours: This project's names. A tensor with several is split evenly along its first axis; with
            none, it is known and unused.
        transposed: Swap the two axes of a matrix.
    """

    theirs: str
    ours: tuple[str, ...]
    transposed: bool = False


def rename(
    state: Mapping[str, Tensor], rules: Sequence[Rule], source: str, kind: str
) -> dict[str, Tensor]:
    """Apply the first matching rule to each name, without copying where possible.

    Args:
        state: Tensors by foreign name.
        rules: The rules, in order.
        source: Where the tensors were read, for messages.
        kind: The assumed kind of model, for messages.

    Raises:
        CheckpointError: No rule knows a name; the message lists all of them.
    """
    renamed: dict[str, Tensor] = {}
    for name, targets, transposed in _follow(state, rules, source, kind):
        tensor = state[name].T if transposed else state[name]
        pieces = tensor.chunk(len(targets)) if len(targets) > 1 else (tensor,)
        renamed.update(zip(targets, pieces, strict=bool(targets)))
    return renamed


def rename_back(state: Mapping[str, Tensor], rules: Sequence[Rule]) -> dict[str, Tensor]:
    """Undo `rename`: join tensors that were split and undo transpositions.

    Tensors that the rules know as unused are not created.

    Raises:
        CheckpointError: No rule produces one of the names; the message lists all such names.
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
    """Return the new names of each name; an unused tensor has none."""
    return {
        name: targets
        for name, targets, _ in _follow(dict.fromkeys(names), rules, "the file", "the model")
    }


def require_fit(state: Mapping[str, Tensor], expected: Mapping[str, Tensor], source: str) -> None:
    """Raise CheckpointError listing tensors that are missing, misshapen, or unexpected."""
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
    """Return each name, its new names, and whether the tensor is transposed."""
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
    """Compile a rule's name into a regular expression."""
    pieces = re.split(r"\{(\w+)\}", template)  # text and placeholders alternate
    return re.compile(
        "".join(
            f"(?P<{piece}>{_PLACEHOLDERS[piece]})" if number % 2 else re.escape(piece)
            for number, piece in enumerate(pieces)
        )
    )
