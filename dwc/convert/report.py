"""What became of what: a conversion told in lines, a module of theirs and of ours in each."""

from collections import Counter
from collections.abc import Mapping

from dwc.convert.renaming import moves
from dwc.convert.sources import Original
from dwc.errors import listed


def describe(originals: Mapping[str, Original]) -> list[str]:
    """Lines on each state dict that was read, given by the prefix of its names in the model."""
    return [line for prefix, original in originals.items() for line in _describe(prefix, original)]


def _describe(prefix: str, original: Original) -> list[str]:
    numbers = sum(tensor.numel() for tensor in original.state.values())
    head = (
        f"{original.source}: {original.nature}, {len(original.state)} tensors, {numbers:,} values"
    )
    if original.rules is None:
        return [head, f"  taken under the same names, as {prefix}*"]
    gone, here = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    unused = []
    for name, targets in moves(list(original.state), original.rules).items():
        if not targets:
            unused.append(name)
            continue
        modules = _module(name), prefix + _module(targets[0])
        gone[modules] += 1
        here[modules] += len(targets)
    lines = [head]
    for (theirs, ours), count in gone.items():
        split = here[theirs, ours]
        into = f", which are {split} here" if split != count else ""
        lines.append(f"  {theirs} -> {ours}: {count} tensor{'s' * (count != 1)}{into}")
    if unused:
        lines.append(f"  read by nothing, left behind: {listed(unused)}")
    return lines


def _module(name: str) -> str:
    """The first part of a tensor's name: the module it is in."""
    return name.split(".")[0]
