"""The command line: `dwc COMMAND` or `python -m dwc COMMAND`.

Each command is a module of `dwc.commands` with `HELP`, `configure(parser)` and `run(args)`. These
modules import torch and other slow packages only inside `run`, so that `--help` answers
immediately.
"""

import argparse
import errno
import logging
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import Protocol, cast

from dwc import __version__, import_hooks
from dwc.commands.console import CommandParser, printable_lines
from dwc.errors import DWCError
from dwc.memory import relax_collector, retain_freed_memory

COMMANDS = (
    "app",
    "index",
    "search",
    "convert",
    "evaluate",
    "train",
    "study",
    "report",
    "push",
    "space",
    "weights",
    "neighbors",
)

# Options whose value may begin with a minus sign.
_VALUES_WITH_MINUS = ("--text", "--shift", "--image", "--reference-id")

FAILED = 2
INTERRUPTED = 130  # as shells report SIGINT


class Command(Protocol):
    """Interface of the modules of `dwc.commands` that implement a command."""

    HELP: str
    configure: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, and return its exit code.

    Args:
        arguments: The command and its arguments, such as `["search", "wardrobe.store"]`; None for
            the arguments of this process.

    Returns:
        The exit code: 0 for success, 2 for an error in arguments or files (reported on stderr), 130
        if the user interrupted the command.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # Characters that the terminal's encoding lacks are escaped instead of raising an error.
            stream.reconfigure(errors="backslashreplace")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_PrintableFormatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    arguments = sys.argv[1:] if arguments is None else arguments
    args = _parser(arguments).parse_args(_attach_values(arguments))
    relax_collector()
    retain_freed_memory()
    import_hooks.register_shortcuts()
    try:
        return args.run(args)
    except DWCError as error:
        return _fail(f"{type(error).__name__}: {error}")
    except BrokenPipeError:
        return _fail("the output was closed before it was written")
    except OSError as error:  # for example, a full disk or a read-only folder
        if error.errno == errno.ENOSPC:
            return _fail(f"{error}. Free some space, then run the same command again.")
        return _fail(str(error))
    except KeyboardInterrupt:
        _fail("interrupted")
        return INTERRUPTED


class _PrintableFormatter(logging.Formatter):
    """Formatter of log messages that escapes control characters, for example in file names."""

    def format(self, record: logging.LogRecord) -> str:
        return printable_lines(super().format(record))


def _attach_values(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with each value that begins with a minus sign joined to its option.

    Example: `--text -stripes` becomes `--text=-stripes`. Otherwise argparse would interpret
    `-stripes` as an option.
    """
    attached: list[str] = []
    for argument in arguments:
        is_value = argument.startswith("-") and not argument.startswith("--")
        if is_value and attached and attached[-1] in _VALUES_WITH_MINUS:
            attached[-1] += f"={argument}"
        else:
            attached.append(argument)
    return attached


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """Return a parser for the command that the first argument names.

    Only the module of this command is imported. If the first argument is not a command, the parser
    covers all commands, so that the help text lists them.
    """
    requested = [name for name in arguments[:1] if name in COMMANDS]
    parser = CommandParser(
        prog="dwc" if Path(sys.argv[0]).stem == "dwc" else "python -m dwc",
        description="Composed image retrieval: find the picture that is like this one, but …",
    )
    parser.add_argument("--version", action="version", version=f"dwc {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in requested or COMMANDS:
        command = cast(Command, import_module(f"dwc.commands.{name}"))
        subparser = commands.add_parser(name, help=command.HELP, description=command.HELP)
        command.configure(subparser)
        subparser.set_defaults(run=command.run)
    return parser


def _fail(message: str) -> int:
    sys.stderr.write(f"{printable_lines(message)}\n")
    return FAILED
