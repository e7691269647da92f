"""How one state dict becomes another, and back: rules by name, every tensor accounted for."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from dwc.errors import CheckpointError, list_names

# What may stand where a rule has a place.
_PLACES = {
    "n": r"\d+",
    "leaf": "weight|bias",
    "statistic": "weight|bias|running_mean|running_var|num_batches_tracked",
}


@dataclass(frozen=True)
class Rule:
    """What becomes of the tensors of one name, or of a family of names.

    `theirs` and `ours` are names, in which `{n}` stands for any number, `{leaf}` for weight or bias
    and `{statistic}` for all that a batch norm keeps. A tensor with several of `ours` is split
    evenly along its first axis; one with none is known, and read by nothing. `transposed` swaps the
    two axes of a matrix.
    """

    theirs: str
    ours: tuple[str, ...]
    transposed: bool = False


def rename(
    state: Mapping[str, Tensor], rules: Sequence[Rule], source: str, nature: str
) -> dict[str, Tensor]:
    """Apply the first rule that matches each name; nothing is copied where it need not be.

    Raises CheckpointError listing the names that no rule knows; `source` is what was read and
    `nature` what it was taken for.
    """
    renamed: dict[str, Tensor] = {}
    for name, targets, transposed in _follow(state, rules, source, nature):
        tensor = state[name].T if transposed else state[name]
        pieces = tensor.chunk(len(targets)) if len(targets) > 1 else (tensor,)
        renamed.update(zip(targets, pieces, strict=bool(targets)))
    return renamed


def rename_back(state: Mapping[str, Tensor], rules: Sequence[Rule]) -> dict[str, Tensor]:
    """Undo `rename`: what was split is joined, what was swapped is swapped back.

    What the rules know but read by nothing is not made up. Raises CheckpointError listing the names
    that no rule leads to.
    """
    theirs: dict[str, Tensor] = {}
    used: set[str] = set()
    for name in state:
        for rule in rules:
            match = _pattern(rule.ours[0]).fullmatch(name) if rule.ours else None
            if match is None:
                continue
            names = [ours.format(**match.groupdict()) for ours in rule.ours]
            tensors = [state[one] for one in names]
            joined = torch.cat(tensors) if len(tensors) > 1 else tensors[0]
            theirs[rule.theirs.format(**match.groupdict())] = (
                joined.T if rule.transposed else joined
            )
            used.update(names)
            break
    if unknown := [name for name in state if name not in used]:
        raise CheckpointError(
            f"these tensors have no name there: {list_names(unknown)}. They belong to another "
            "kind of model; nothing was written"
        )
    return theirs


def moves(names: Sequence[str], rules: Sequence[Rule]) -> dict[str, tuple[str, ...]]:
    """Where each of these names goes; nowhere if it is read by nothing."""
    return {
        name: targets
        for name, targets, _ in _follow(dict.fromkeys(names), rules, "the file", "the model")
    }


def require_fit(state: Mapping[str, Tensor], expected: Mapping[str, Tensor], source: str) -> None:
    """Raise CheckpointError listing what is missing, misshapen, or too much for the model."""
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
            f"{source}: the tensors do not make the model they should (names are this project's):\n"
            + "\n".join(lines)
            + "\nCheck that the files belong together; nothing was written"
        )


def _follow(
    names: Mapping[str, object], rules: Sequence[Rule], source: str, nature: str
) -> list[tuple[str, tuple[str, ...], bool]]:
    """Each name, the names it gets, and whether its axes swap."""
    found = []
    unknown = []
    for name in names:
        for rule in rules:
            if match := _pattern(rule.theirs).fullmatch(name):
                targets = tuple(ours.format(**match.groupdict()) for ours in rule.ours)
                found.append((name, targets, rule.transposed))
                break
        else:
            unknown.append(name)
    if unknown:
        raise CheckpointError(
            f"{source} has tensors that {nature} does not: {list_names(unknown)}. Check that the "
            "right file was given; nothing was written"
        )
    return found


@lru_cache(maxsize=1024)
def _pattern(template: str) -> re.Pattern[str]:
    """The names that a rule's name stands for."""
    pieces = re.split(r"\{(\w+)\}", template)  # text and places in turns
    return re.compile(
        "".join(
            f"(?P<{piece}>{_PLACES[piece]})" if number % 2 else re.escape(piece)
            for number, piece in enumerate(pieces)
        )
    )
