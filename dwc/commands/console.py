"""Input and output on a terminal: an argument parser, and texts that are safe to print.

`CommandParser` refuses contradictory options and expands `~` in paths. `printable_lines` and
`json_text` return texts whose only control characters are line ends.
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dwc.datasets.image_kinds import printable


def expand_home(text: str) -> str:
    """Replace a leading `~` or `~user` by the path of that user's home folder.

    A shell does not expand the `~` in `--out=~/photos.store`. A folder whose name is `~` can be
    written as `./~`.
    """
    return os.path.expanduser(text)


def parse_count(text: str, fault: str = "not a whole number from 1 on") -> int:
    """Parse the value of an option that must be a whole number of 1 or more.

    Args:
        text: The value as text.
        fault: The end of the error message "'<text>' is <fault>" for an invalid value.

    Raises:
        argparse.ArgumentTypeError: The text is not a whole number of 1 or more.
    """
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is {fault}")
    return number


def add_index_argument(parser: argparse.ArgumentParser, variable: str = "") -> None:
    """Add the option `--index`, which selects how a gallery is searched, for example `exact`.

    Args:
        parser: The command's parser.
        variable: The environment variable that can be set instead of the option; an empty text if
            there is no such variable.
    """
    parser.add_argument(
        "--index",
        metavar="INDEX",
        type=expand_home,
        help="exact: compare with every picture; faiss: with candidates of an approximate index, "
        "which is built when needed (faiss from 200,000 pictures on, if it is installed); a path "
        "that ends in .db: search in Milvus Lite; http://host:19530: in a server of Milvus"
        + (f" ({variable})" if variable else ""),
    )


def _expand_path(text: str) -> Path:
    return Path(expand_home(text))


class _StoreOnce(argparse.Action):
    """Action of argparse that stores an option's value, and refuses a second, different value.

    An option may be repeated with the same value.
    """

    _namespace: argparse.Namespace | None = None

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        if option_string is not None:
            former = getattr(namespace, self.dest)
            if self._namespace is namespace and values != former:
                raise argparse.ArgumentError(
                    self, f"given twice, as {str(former)!r} and {str(values)!r}; give it once"
                )
            self._namespace = namespace
        setattr(namespace, self.dest, values)


class CommandParser(argparse.ArgumentParser):
    """Parser that refuses an option given with two different values, such as `--seed 1 --seed 2`.

    Only an option that is declared with `action="append"` may have several values. A leading `~` is
    expanded in the values of options that are declared with `type=Path` or `type=expand_home`.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        """Create the parser; the parameters are those of `argparse.ArgumentParser`."""
        super().__init__(*args, **options)
        self.register("action", None, _StoreOnce)
        self.register("action", "store", _StoreOnce)
        self.register("type", Path, _expand_path)


# Control characters, which a terminal interprets, and characters that change text direction.
_CONTROLS = re.compile("[\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def printable_lines(text: str) -> str:
    """Return a text in which all control characters except line ends are escaped.

    File names may contain control characters, which a terminal would interpret.
    """
    return "\n".join(map(printable, text.split("\n")))


def json_text(content: Any, encoding: str | None = None) -> str:
    r"""Return a value as JSON text that can be printed safely in a given encoding.

    The text has no control characters except line ends. Characters outside ASCII are kept if the
    encoding can represent all of them. Otherwise they are written as \uXXXX, which every JSON
    parser decodes.

    Args:
        content: The JSON-compatible value.
        encoding: The encoding of the output; by default that of stdout.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(encoding or getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(content, indent=2, allow_nan=False)
    return _CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
