"""Regular expressions that are compiled when they are first used.

The rules for what people type have lists of hundreds of words. To compile all of them takes half a
second, a twelfth of the app's start, and the words of most searches need few of them.
"""

import re
from functools import cached_property
from typing import Any, cast

_patterns: list["_LazyPattern"] = []


class _LazyPattern:
    """A stand-in for a compiled regular expression, with the same attributes and methods."""

    def __init__(self, pattern: str, flags: int) -> None:
        self.pattern, self._flags = pattern, flags

    @cached_property
    def compiled(self) -> re.Pattern[str]:
        return re.compile(self.pattern, self._flags)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.compiled, name)


def compile_lazily(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """Return a regular expression that is compiled when a method or attribute is first used.

    The functions of the module `re` do not accept the result, only its own methods work. An invalid
    pattern raises `re.error` at its first use.

    Args:
        pattern: The regular expression. It can be read as the attribute `pattern` without being
            compiled.
        flags: Flags of the module `re`, such as `re.IGNORECASE`.
    """
    _patterns.append(_LazyPattern(pattern, flags))
    return cast("re.Pattern[str]", _patterns[-1])


def compile_all() -> None:
    """Compile all regular expressions that have not been used yet."""
    for pattern in _patterns:
        _ = pattern.compiled
