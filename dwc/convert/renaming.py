"""How one state dict becomes another: rules by name, and no tensor left unaccounted for."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from dwc.errors import CheckpointError

_LISTED = 12  # names in one message; the rest are counted


@dataclass(frozen=True)
class Rule:
    """What becomes of the tensors whose whole name matches `pattern`.

    `targets` are the new names, with the pattern's groups as `\\1`; a tensor with several is split
    evenly along its first axis, one with none is known, and read by nothing. `transposed` swaps the
    two axes of a matrix.
    """

    pattern: str
    targets: tuple[str, ...]
    transposed: bool = False


def rename(
    state: Mapping[str, Tensor], rules: Sequence[Rule], source: str, nature: str
) -> dict[str, Tensor]:
    """Apply the first rule that matches each name; nothing is copied where it need not be.

    Raises CheckpointError listing the names that no rule knows; `source` is what was read and
    `nature` what it was taken for.
    """
    renamed: dict[str, Tensor] = {}
    unknown = []
    for name, tensor in state.items():
        rule, match = _find(rules, name)
        if rule is None or match is None:
            unknown.append(name)
            continue
        if rule.transposed:
            tensor = tensor.T
        pieces = tensor.chunk(len(rule.targets)) if len(rule.targets) > 1 else (tensor,)
        for target, piece in zip(rule.targets, pieces, strict=bool(rule.targets)):
            renamed[match.expand(target)] = piece
    if unknown:
        raise CheckpointError(
            f"{source} has tensors that {nature} does not: {listed(unknown)}. Check that the right "
            "file was given; nothing was written"
        )
    return renamed


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
    lines = [f"  {problem}: {listed(names)}" for problem, names in problems.items() if names]
    if lines:
        raise CheckpointError(
            f"{source}: the tensors do not make the model they should (names are this project's):\n"
            + "\n".join(lines)
            + "\nCheck that the files belong together; nothing was written"
        )


def listed(names: Sequence[str]) -> str:
    """The first names, and the count of the others."""
    rest = len(names) - _LISTED
    return ", ".join(sorted(names)[:_LISTED]) + (f" and {rest} more" if rest > 0 else "")


def _find(rules: Sequence[Rule], name: str) -> tuple[Rule | None, re.Match[str] | None]:
    for rule in rules:
        if match := re.fullmatch(rule.pattern, name):
            return rule, match
    return None, None
