"""Find the files of a gallery in folders: pictures, or tar and Parquet files with pictures in them.

`walk_folder` lists the picture files in a folder and all its subfolders, and the files and folders
that are left out, with the reasons. Symbolic links are followed only after all real folders have
been listed, so that a picture inside the gallery is listed under its own path rather than under the
path of a link. Folders and files are identified by device and inode. Each folder is visited only
once, so that circular links do not cause an endless loop. By default, each file is listed only
once, even if several paths lead to it.

`expand_location` lists tar or Parquet files, given a file, a folder or a pattern. In a folder, the
same rules apply as for picture files.
"""

import os
import re
import stat
import tempfile
import unicodedata
from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from glob import glob, has_magic
from itertools import chain, islice, product, takewhile
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pathspec
from numpy.typing import NDArray

from dwc.datasets.image_kinds import (
    ARCHIVE,
    HEIC,
    SHORTCUT_CURE,
    UNREAD_SUFFIXES,
    advice_for,
    escape_name,
    identify_kind,
    identify_shortcut,
    printable,
)
from dwc.datasets.image_loading import FORMATS, HAS_HEIF, SUFFIXES
from dwc.errors import ImageError
from dwc.gallery.metadata import is_table

HIDDEN = "hidden"
EXCLUDED = "excluded"
SERVICE_FOLDER = "service folder"
OWN_STORE = "own store"
LINKED_TWICE = "linked twice"
BACKUP = "backup of another file"
EDITED_COPY = "edited copy of another file"
UNREADABLE = "unreadable"
MISSING = "missing"
NOT_DOWNLOADED = "not downloaded from iCloud"
KIND_NOT_SUPPORTED = "kind not supported"
SHORTCUT = "shortcut not followed"
PACKED = "packed beside others"
NOT_A_FILE = "a pipe, socket or device"
NOT_A_PICTURE = "not a picture"
REASONS = (
    UNREADABLE, MISSING, NOT_DOWNLOADED, KIND_NOT_SUPPORTED, SHORTCUT, PACKED, EXCLUDED,
    SERVICE_FOLDER, OWN_STORE, LINKED_TWICE, BACKUP, EDITED_COPY, HIDDEN, NOT_A_FILE,
    NOT_A_PICTURE,
)  # fmt: skip
"""The reasons for leaving out a file or folder, in descending order of importance to the user."""

# Names, in lower case, of folders that network drives, operating systems and photo managers fill
# with previews or deleted files. `Thumbnails` is not listed, since users also choose that name.
_SERVICE_FOLDERS = frozenset(
    {
        "@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "@__thumb", "@tmp",
        "@sharebin", "$recycle.bin", "recycler", "system volume information", "lost+found",
        "lost.dir", "found.000", "__macosx", "network trash folder", "temporary items",
        "thumbs.db", "node_modules",
    }
)  # fmt: skip
_PREVIEW_SUFFIXES = (".lrdata", ".lrcat-data", ".cocatalog", ".thumbnails")
# A library of Apple Photos has its pictures in `originals` (iPhoto and Aperture: `Masters`).
_LIBRARY_SUFFIXES = (
    ".photoslibrary", ".photolibrary", ".aplibrary", ".migratedphotolibrary",
    ".migratedaplibrary",
)  # fmt: skip
_LIBRARY_FOLDERS = frozenset({"originals", "masters"})
_CACHE_TAG = "CACHEDIR.TAG"
_CACHE_SIGNATURE = b"Signature: 8a477f597d28d172789f06886806bc55"

DATABASE = "gallery.sqlite"
_STORE_MEMBERS = ("writer.lock", "thumbnails", "vectors-")
HEADER_BYTES = 64
"""Number of bytes at the beginning of a file that are read to identify its format."""
INODE_BITS = (1 << 63) - 1
"""The largest integer in SQLite, as a bit mask for inodes, which may be larger."""
_NOT_PICTURES = frozenset({".thm", ".ico", ".cur"})  # previews of videos, and icons

_ARCHIVE_SUFFIXES = (
    ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst", ".7z", ".rar", ".cbz", ".cbr",
)  # fmt: skip

# Names that programs give to earlier versions of a file, such as exiftool to `a.jpg_original`, and
# Syncthing to one of two versions that were changed on different devices.
_BACKUP = re.compile(r"(.+\.\w+)(?:~|_original|\.(?:bak|orig|old|backup))", re.IGNORECASE)
_CONFLICT = re.compile(r"(.+)\.sync-conflict-\d{8}-\d{6}-\w{7}(\.\w+)")

# Google Takeout exports an edited `a.jpg` also as `a-edited.jpg`, with the word in the language of
# the account, and describes `a.jpg` in a file such as `a.jpg.supplemental-metadata.json`.
_EDITED = frozenset(
    {"edited", "bearbeitet", "bewerkt", "edytowane", "modifié", "modificato", "ha editado",
     "editado", "editat", "編集済み"}
)  # fmt: skip

# macOS puts `.IMG_1.JPG.icloud` in the place of `IMG_1.JPG` if that is in iCloud alone.
_ICLOUD_PLACEHOLDER = re.compile(r"\.(.+)\.icloud", re.DOTALL)

PACKED_SUFFIXES = (".tar", ".parquet")
"""Suffixes, in lower case, of files that may contain pictures: tar and Parquet files."""

_NUMBERS = re.compile(r"\{([0-9]+)\.\.([0-9]+)\}")
_MAX_FILES = 100_000


class GalleryFile(NamedTuple):
    """A file in the gallery's folder: a picture, or a tar or Parquet file with pictures.

    Attributes:
        id: Path relative to the gallery's folder, with `/` as separator, as UTF-8 text.
        path: Path of the file.
        size: Size in bytes.
        mtime_ns: Modification time in nanoseconds.
        ctime_ns: Time in nanoseconds of the last change of content, name or permissions; on
            Windows, of the creation.
        inode: The number by which the file system identifies the file; only its lower 63 bits,
            because SQLite cannot store more.
    """

    id: str
    path: str
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


class LeftOut(NamedTuple):
    """A file or folder that is left out of a gallery, with the reason.

    Attributes:
        id: Path relative to the gallery's folder, with `/` as separator, as UTF-8 text.
        reason: One of `REASONS`.
        kind: The format of a picture that cannot be read, such as "HEIC"; `ARCHIVE` for an
            archive; else None.
        message: The problem and its remedy, for a file or folder that users would expect in the
            gallery; else None.
    """

    id: str
    reason: str
    kind: str | None = None
    message: str | None = None


class UnusedPattern(NamedTuple):
    """An exclude pattern without effect, with the likely reason.

    It matched no file and no folder; or it begins with `!`, and included nothing again.
    """

    pattern: str
    reason: str


def parse_patterns(patterns: Sequence[str]) -> pathspec.PathSpec | None:
    """Compile patterns in the syntax of `.gitignore`; return None if there are no patterns.

    Raises:
        ImageError: A pattern is malformed, or the first one begins with `!`. A pattern with `!`
            includes again what earlier patterns exclude, so it cannot be the first.
    """
    if not patterns:
        return None
    if re.match(r"\s*!\S", patterns[0]):
        raise ImageError(
            f"--exclude: {patterns[0]!r} takes back what a pattern before it excludes, and no "
            "pattern is before it. Name first what to leave out, such as '*'."
        )
    try:
        return pathspec.GitIgnoreSpec.from_lines(patterns)
    except (ValueError, re.error) as error:
        raise ImageError(
            f"--exclude: {error}; expected patterns as in .gitignore, such as 'drafts/' or '*.gif'."
        ) from None


def cache_folder() -> Path:
    """Return this package's cache folder.

    The folder is the value of the environment variable DWC_CACHE. If DWC_CACHE is not set, the
    folder is `$XDG_CACHE_HOME/dwc`; if XDG_CACHE_HOME is not set either, it is `~/.cache/dwc`.
    """
    if named := os.environ.get("DWC_CACHE"):
        return Path(named).expanduser()
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "dwc"


def is_service_folder(name: str, parent: str = "") -> bool:
    """Return whether a folder's name shows that programs store internal files in the folder.

    Examples are folders of previews ("@eaDir") and of deleted files ("$RECYCLE.BIN").

    Args:
        name: The name of the folder.
        parent: The name of its parent folder. In a library of Apple Photos, iPhoto or Aperture
            (such as `a.photoslibrary`), every folder except that of the originals is internal.
    """
    name = name.lower()
    if name in _SERVICE_FOLDERS or name.endswith(_PREVIEW_SUFFIXES):
        return True
    return parent.lower().endswith(_LIBRARY_SUFFIXES) and name not in _LIBRARY_FOLDERS


def is_read(kind: str) -> bool:
    """Return whether pictures of a format can be read.

    Args:
        kind: The name of the format, as returned by `identify_kind`.
    """
    return kind in FORMATS or (kind == HEIC and HAS_HEIF)


def walk_folder(
    root: Path, exclude: Sequence[str] = (), visit_once: bool = True, suffix: str | None = None
) -> Iterator[GalleryFile | LeftOut | UnusedPattern]:
    """Yield the pictures in a folder and its subfolders, and what is left out, with the reasons.

    The exclude patterns without effect are yielded last.

    Args:
        root: The folder. It is listed even if its own name begins with a dot. If it is a gallery
            store, nothing in it is listed.
        exclude: Patterns in the syntax of `.gitignore`, relative to the folder. Everything in an
            excluded folder is excluded.
        visit_once: Whether to list a file only once if several paths lead to it (links). It is
            False for the Hub's cache, which stores files with equal content as links to one file.
        suffix: Suffix, in lower case, of the files to list instead of pictures; None to list
            pictures.
    """
    yield from _Walk(root, exclude, visit_once, suffix).run()


class _Walk:
    def __init__(
        self, root: Path, exclude: Sequence[str], visit_once: bool, suffix: str | None
    ) -> None:
        self._root = str(root)
        self._suffix = suffix
        parse_patterns(exclude)  # checks them
        self._patterns = [_PatternUse(pattern) for pattern in exclude]
        self._can_include_again = any(use.includes_again for use in self._patterns)
        self._excluded_folders: dict[str, _PatternUse] = {}  # only if a pattern includes again
        self._visit_once = visit_once
        self._folders: set[tuple[int, int]] = set()
        # Inodes by device: of files that may have several names, and of files with a single name.
        # Other paths to the latter can only lead through links, which are followed last.
        self._files: dict[int, set[int]] = {}
        self._single: dict[int, array[int]] = {}
        self._sorted: dict[int, NDArray[np.uint64]] | None = None  # when links are followed
        self._links: list[tuple[str, str]] = []
        self._own = _own_folders()

    def run(self) -> Iterator[GalleryFile | LeftOut | UnusedPattern]:
        yield from self._tree(self._root, "")
        if self._links:
            self._sorted = {
                device: np.sort(np.frombuffer(inodes, dtype=np.uint64))
                for device, inodes in self._single.items()
            }
        while self._links:
            links, self._links = sorted(self._links), []
            for relative, path in links:
                yield from self._follow(path, relative)
        if self._folders:  # the folder could be read
            for use in self._patterns:
                if not use.has_effect:
                    reason = use.likely_reason(self._root, self._excluded_folders, self._patterns)
                    yield UnusedPattern(use.pattern, reason)

    def _tree(self, path: str, relative: str) -> Iterator[GalleryFile | LeftOut]:
        name = os.path.basename(relative)
        if not name.lower().endswith(_LIBRARY_SUFFIXES):  # a link may have any name
            name = os.path.basename(os.path.realpath(path))
        waiting = [(path, relative, name)]
        while waiting:
            path, relative, own_name = waiting.pop()
            try:
                info = os.stat(path)
                with os.scandir(path) as content:
                    entries = sorted(content, key=lambda entry: entry.name)
            except OSError as error:
                yield _unreadable(relative or ".", path, error, "folder")
                continue
            reason = self._reason_for_folder(path, relative, info, entries)
            if reason is not None:
                yield LeftOut(escape_name(relative) or ".", reason)
                continue
            subfolders = []
            for entry in entries:
                name = entry.name
                inner = f"{relative}/{name}" if relative else name
                if name.startswith("."):
                    yield self._hidden(entry, inner)
                elif entry.is_symlink():
                    is_folder = os.path.isdir(entry.path)
                    if self._is_excluded(inner, is_folder):
                        yield LeftOut(escape_name(inner), EXCLUDED)
                    elif is_folder and is_service_folder(name, own_name):
                        yield LeftOut(escape_name(inner), SERVICE_FOLDER)
                    else:
                        self._links.append((inner, entry.path))
                elif entry.is_dir(follow_symlinks=False):
                    if self._is_excluded(inner, True):
                        yield LeftOut(escape_name(inner), EXCLUDED)
                    elif is_service_folder(name, own_name):
                        yield LeftOut(escape_name(inner), SERVICE_FOLDER)
                    else:
                        subfolders.append((entry.path, inner, name))
                elif self._is_excluded(inner, False):
                    yield LeftOut(escape_name(inner), EXCLUDED)
                elif _is_backup(path, name):
                    yield LeftOut(escape_name(inner), BACKUP)
                elif _is_edited_copy(path, name, entries):
                    yield LeftOut(escape_name(inner), EDITED_COPY)
                else:
                    try:
                        info = entry.stat(follow_symlinks=False)
                        if not info.st_ino:  # on Windows, `DirEntry.stat` omits the inode
                            info = os.stat(entry.path)
                    except OSError as error:
                        yield _unreadable(inner, entry.path, error, "file")
                        continue
                    yield self._file(entry.path, inner, info)
            waiting.extend(reversed(subfolders))

    def _hidden(self, entry: os.DirEntry[str], relative: str) -> LeftOut:
        """Return the reason why an entry whose name begins with a dot is left out.

        The reason is usually `HIDDEN`. The exceptions are placeholders: if `a.jpg` is only in
        iCloud, macOS stores a file `.a.jpg.icloud` instead. If `a.jpg` looks by its name like a
        file to list, a metadata table or a folder, the reason is `NOT_DOWNLOADED`, and a message
        asks the user to download `a.jpg`. But if an exclude pattern matches `a.jpg` or
        `.a.jpg.icloud`, the reason is `EXCLUDED`.
        """
        id = escape_name(relative)
        placeholder = _ICLOUD_PLACEHOLDER.fullmatch(entry.name)
        if placeholder is None or not entry.is_file(follow_symlinks=False):
            return LeftOut(id, HIDDEN)
        name = placeholder.group(1)
        suffix = os.path.splitext(name)[1].lower()
        is_wanted = suffix in SUFFIXES or suffix in UNREAD_SUFFIXES or is_table(name)
        if self._suffix is not None:
            is_wanted = suffix == self._suffix
        if suffix and not is_wanted:
            return LeftOut(id, HIDDEN)
        original = f"{relative[: -len(entry.name)]}{name}"
        if self._is_excluded(original, not suffix) or self._is_excluded(relative, False):
            return LeftOut(id, EXCLUDED)
        path = f"{entry.path[: -len(entry.name)]}{name}"
        message = (
            f"{printable(path)}: is in iCloud and not downloaded to this computer. Choose Download "
            "Now or Keep Downloaded for it or its folder in the Finder, and index again."
        )
        return LeftOut(id, NOT_DOWNLOADED, message=message)

    def _follow(self, path: str, relative: str) -> Iterator[GalleryFile | LeftOut]:
        try:
            info = os.stat(path)
        except OSError as error:
            yield _unreadable(relative, path, error, "link")
            return
        if stat.S_ISDIR(info.st_mode):
            yield from self._tree(path, relative)
        else:
            yield self._file(path, relative, info)

    def _reason_for_folder(
        self, path: str, relative: str, info: os.stat_result, entries: list[os.DirEntry[str]]
    ) -> str | None:
        key = (info.st_dev, info.st_ino)
        names = [entry.name for entry in entries]
        if is_store(names) or (relative and key in self._own):
            return OWN_STORE
        if relative and _CACHE_TAG in names and _is_cache_tag(os.path.join(path, _CACHE_TAG)):
            return SERVICE_FOLDER
        if key in self._folders:
            return LINKED_TWICE
        self._folders.add(key)
        return None

    def _is_excluded(self, relative: str, is_folder: bool) -> bool:
        """Return whether the patterns exclude a file or a folder whose parents they do not exclude.

        As in git, the last pattern that matches counts. `pathspec` cannot tell: it also counts
        patterns that match a parent, and lets `*` outweigh a later `!*/`.
        """
        path = f"{relative}/" if is_folder else relative
        deciding = None
        for use in self._patterns:
            if use.matches(path):
                use.record_match(path, deciding is not None)
                deciding = None if use.includes_again else use
        if deciding is not None and is_folder and self._can_include_again:
            self._excluded_folders[relative] = deciding
        return deciding is not None

    def _file(self, path: str, relative: str, info: os.stat_result) -> GalleryFile | LeftOut:
        id = escape_name(relative)
        if not stat.S_ISREG(info.st_mode):  # reading a pipe might wait for ever
            return LeftOut(id, NOT_A_FILE)
        if self._visit_once and info.st_ino and self._is_listed(info):
            return LeftOut(id, LINKED_TWICE)
        suffix = os.path.splitext(path)[1].lower()
        if is_archive(path):
            message = (
                f"{printable(path)}: is an archive, which is not read here. {advice_for(ARCHIVE)}"
            )
            return LeftOut(id, KIND_NOT_SUPPORTED, ARCHIVE, message)
        is_wanted = suffix == self._suffix
        if suffix in PACKED_SUFFIXES and not is_wanted:
            return LeftOut(id, PACKED, message=_describe_packed(path, suffix, self._suffix))
        if self._suffix is not None:
            return _found(id, path, info) if is_wanted else LeftOut(id, NOT_A_PICTURE)
        if suffix in SUFFIXES:
            return _found(id, path, info)
        may_be_picture = info.st_size > 0 and suffix not in _NOT_PICTURES
        if suffix not in UNREAD_SUFFIXES and not may_be_picture:
            return LeftOut(id, NOT_A_PICTURE)
        try:
            with open(path, "rb") as file:
                header = file.read(HEADER_BYTES)
        except OSError as error:
            return _unreadable(relative, path, error, "file")
        if (shortcut := identify_shortcut(suffix, header)) is not None:
            message = f"{printable(path)}: is a {shortcut}, which is not followed. {SHORTCUT_CURE}"
            return LeftOut(id, SHORTCUT, message=message)
        kind = identify_kind(suffix, header)
        if kind is None:
            return LeftOut(id, NOT_A_PICTURE)
        return _found(id, path, info) if is_read(kind) else unsupported(id, path, kind)

    def _is_listed(self, info: os.stat_result) -> bool:
        """Return whether a file is already listed under another path; if not, record it as listed.

        Args:
            info: The status of the file, whose device and inode identify it.
        """
        device, inode = info.st_dev, info.st_ino
        if self._sorted is None and info.st_nlink == 1 and inode < 1 << 64:
            self._single.setdefault(device, array("Q")).append(inode)
            return False
        inodes = self._files.setdefault(device, set())
        if inode in inodes:
            return True
        if self._sorted is not None and inode < 1 << 64 and device in self._sorted:
            singles = self._sorted[device]
            place = int(np.searchsorted(singles, np.uint64(inode)))
            if place < len(singles) and singles[place] == inode:
                return True
        inodes.add(inode)
        return False


def _is_backup(folder: str, name: str) -> bool:
    """Return whether a file is named as a backup of another file in the same folder.

    Example: `a.jpg.bak` beside `a.jpg`.
    """
    match = _CONFLICT.fullmatch(name) or _BACKUP.fullmatch(name)
    return match is not None and os.path.lexists(os.path.join(folder, "".join(match.groups())))


def _is_edited_copy(folder: str, name: str, entries: Sequence[os.DirEntry[str]]) -> bool:
    """Return whether a file is the edited copy of another picture in an export of Google Photos.

    `a-edited.jpg` counts as the edited copy of `a.jpg` if the folder also has `a.jpg` and the JSON
    file that an export adds to describe `a.jpg`. If the JSON file is missing, the result is False,
    because the name alone proves nothing.

    Args:
        folder: The path of the folder.
        name: The name of the file.
        entries: The entries of the folder, sorted by name.
    """
    stem, _, end = name.rpartition("-")
    marker, suffix = os.path.splitext(end)
    if not stem or unicodedata.normalize("NFC", marker).lower() not in _EDITED:
        return False
    original = f"{stem}{suffix}"
    start = bisect_left(entries, f"{original}.", key=lambda entry: entry.name)
    described = takewhile(
        lambda entry: entry.name.startswith(f"{original}."), islice(entries, start, None)
    )
    has_description = any(entry.name.endswith(".json") for entry in described)
    return has_description and os.path.lexists(os.path.join(folder, original))


def placeholder_id(id: str) -> str:
    """Return the id of the placeholder that stands for a file or folder that is only in iCloud.

    Example: `shirts/a.jpg` -> `shirts/.a.jpg.icloud`.
    """
    folder, separator, name = id.rpartition("/")
    return f"{folder}{separator}.{name}.icloud"


class _PatternUse:
    """An exclude pattern that is tested on paths, and the likely reason if it has no effect.

    The object stores the first path that would match if letter case were ignored, and the first
    one that a pattern with `!` matches although no pattern before it excludes that path.

    Attributes:
        pattern: The pattern as written.
        includes_again: Whether it begins with `!` and so includes what earlier patterns exclude.
        has_effect: Whether it excluded a path or, if it begins with `!`, included one again.
    """

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        # An empty text gives no pattern, a text of spaces gives one that matches nothing.
        compiled = pathspec.GitIgnoreSpec.from_lines([pattern or " "]).patterns[0]
        self.includes_again = compiled.include is False
        self.has_effect = False
        written = pattern.strip().removeprefix("!") if self.includes_again else pattern.rstrip()
        regex = _translate(written) if compiled.include is not None else None
        self._regex = None if regex is None else re.compile(regex)
        self._any_case = None if regex is None else re.compile(regex, re.IGNORECASE)
        self._only_folders = written.endswith("/")
        self._other_case: str | None = None
        self._not_excluded: str | None = None

    def matches(self, path: str) -> bool:
        """Return whether the pattern matches a path itself, and not only a folder above it.

        Args:
            path: The path, relative to the gallery's folder; that of a folder ends with `/`.
        """
        if self._regex is None or self._any_case is None:
            return False
        if self._only_folders and not path.endswith("/"):
            return False
        name = path.removesuffix("/")
        if self._other_case is None:
            if self._any_case.fullmatch(name) is None:
                return False
            if self._regex.fullmatch(name) is None:
                self._other_case = path
                return False
            return True
        return self._regex.fullmatch(name) is not None

    def record_match(self, path: str, is_excluded: bool) -> None:
        """Record that the pattern matched a path.

        Args:
            path: The path.
            is_excluded: Whether the patterns before this one exclude the path.
        """
        if is_excluded or not self.includes_again:
            self.has_effect = True
        elif self._not_excluded is None:
            self._not_excluded = path

    def likely_reason(
        self,
        root: str,
        excluded_folders: Mapping[str, "_PatternUse"] | None = None,
        patterns: Sequence["_PatternUse"] = (),
    ) -> str:
        """Return a message with the likely reason why the pattern has no effect, and advice.

        Args:
            root: The folder to which the patterns are relative.
            excluded_folders: The excluded folders, each with the pattern that decided. What they
                contain was not tested.
            patterns: All patterns.
        """
        mark, pattern = "", self.pattern
        if self.includes_again:
            mark, pattern = "!", self.pattern.lstrip()[1:]
        if not pattern.strip():
            return "It is empty."
        if pattern.startswith("#"):
            return f"A pattern that begins with # is a comment. Write \\{pattern}"
        if pattern.startswith("./"):
            return f"Patterns are relative to the folder, without ./ . Write {mark}{pattern[1:]}"
        if pattern.startswith(f"{root}/"):
            relative = pattern.removeprefix(root) or "/"
            return f"Patterns are relative to the folder. Write {mark}{relative}"
        if self._not_excluded is not None:
            return (
                f"No pattern before it leaves out {escape_name(self._not_excluded)}. Put it after "
                "the pattern that does, or remove it."
            )
        if self._other_case is not None:
            return f"Upper and lower case differ: there is {escape_name(self._other_case)}."
        if excluded_folders and (reason := self._excluded_parent(root, excluded_folders, patterns)):
            return reason
        if "[" in pattern:
            literal = re.sub(r"(?<!\\)([\[\]])", r"\\\1", pattern)
            return f"Brackets enclose a set of characters. To match brackets, write {mark}{literal}"
        if "\\" in pattern:
            return "A backslash makes the next character literal. Separate folders with /."
        if self.includes_again:
            return "Nothing that the patterns before it leave out matches it."
        return "Nothing matches it outside what is left out for other reasons."

    def _excluded_parent(
        self, root: str, excluded: Mapping[str, "_PatternUse"], patterns: Sequence["_PatternUse"]
    ) -> str:
        """Return the advice for a pattern with `!` on what an excluded folder may contain.

        Args:
            root: The folder to which the patterns are relative.
            excluded: The excluded folders, each with the pattern that decided.
            patterns: All patterns.

        Returns:
            The advice. It is empty if the pattern does not begin with `!`, or names a path that
            does not exist or that lies in none of the excluded folders.
        """
        path = self.pattern.lstrip()[1:].strip().strip("/")
        parts = path.split("/")
        is_anchored = len(parts) > 1 and parts[0] != "**"
        if not self.includes_again or (
            is_anchored
            and not re.search(r"[*?\[\\]", path)
            and not os.path.lexists(os.path.join(root, path))
        ):
            return ""
        for folder, deciding in excluded.items():
            names = folder.split("/")
            above = _PatternUse(f"/{'/'.join(parts[: len(names)])}/")
            if is_anchored and not (len(parts) > len(names) and above.matches(f"{folder}/")):
                continue
            literal = re.sub(r"([*?\[\]\\])", r"\\\1", folder)
            steps = [f"!/{literal}/", f"/{literal}/*"]
            if not is_anchored or len(parts) > len(names) + 1 or "**" in parts:
                steps[1:] = [f"/{literal}/**", f"!/{literal}/**/"]
            is_named = deciding.pattern.strip("/") == literal
            is_only = all(
                use is deciding or use.includes_again or not use.matches(f"{folder}/")
                for use in patterns
            )
            if is_named and is_only and list(excluded.values()).count(deciding) == 1:
                advice = f"{_enumerate(steps[1:])} in place of {deciding.pattern!r}"
            else:
                advice = f"{_enumerate(steps)} directly before it"
            said = f"{deciding.pattern!r} leaves out the folder {escape_name(folder)}/"
            if not is_anchored:
                return (
                    f"Nothing outside the excluded folders matches it. {said}: what lies in it "
                    f"stays excluded. To include from it, write {advice}."
                )
            return f"{said}, and what lies in it stays excluded. Write {advice}."
        return ""


def _translate(pattern: str) -> str:
    """Return the regular expression of the paths that a pattern of `.gitignore` matches itself.

    `pathspec` has expressions for what lies in a matching folder, too, and its shortened ones
    cannot be told apart.

    Args:
        pattern: The pattern, without `!`. That it ends with `/`, and so matches folders only, is
            not part of the result.
    """
    is_anchored = "/" in pattern.rstrip("/")
    *folders, name = pattern.strip("/").split("/")
    regex = "" if is_anchored else "(?:.+/)?"
    for folder in folders:
        regex += "(?:.+/)?" if folder == "**" else f"{_translate_name(folder)}/"
    return f"(?s:{regex}{'.+' if name == '**' else _translate_name(name)})"


_NAME_PART = re.compile(r"\\(?P<literal>.)|\[(?P<mark>[!^]?)(?P<set>\]?[^\]]*)\]|\*+|.", re.DOTALL)


def _translate_name(pattern: str) -> str:
    """Return the regular expression of the names that a pattern without `/` matches."""

    def translate(part: re.Match[str]) -> str:
        if part["literal"]:
            return re.escape(part["literal"])
        if part["set"]:
            members = re.sub(r"([\[\]\\&|~^])", r"\\\1", part["set"])
            return f"(?!/)[{'^' if part['mark'] else ''}{members}]"
        if part[0].startswith("*"):
            return "[^/]*"
        return "[^/]" if part[0] == "?" else re.escape(part[0])

    return _NAME_PART.sub(translate, pattern)


def _enumerate(patterns: Sequence[str]) -> str:
    return ", then ".join(map(repr, patterns))


def find_unused_patterns(
    patterns: Sequence[str], listed: Collection[str], left_out: Iterable[LeftOut], root: str
) -> dict[str, str]:
    """Return the exclude patterns without effect, each with the likely reason.

    A pattern that includes folders again (`!*/`) is never returned: only files are tested here.

    Args:
        patterns: Patterns in the syntax of `.gitignore`.
        listed: The ids of the pictures.
        left_out: The files and folders that are left out.
        root: The folder to which ids are relative.
    """
    unused = {}
    entries = list(left_out)
    for position, pattern in enumerate(patterns):
        use = _PatternUse(pattern)
        if use.includes_again:
            if pattern.rstrip().endswith("/"):
                continue
            before = pathspec.GitIgnoreSpec.from_lines(patterns[:position])
            through = pathspec.GitIgnoreSpec.from_lines(patterns[: position + 1])
            ids = chain(listed, (entry.id for entry in entries))
            if not any(before.match_file(id) and not through.match_file(id) for id in ids):
                unused[pattern] = use.likely_reason(root)
            continue
        names = chain(listed, (path for entry in entries for path in (entry.id, f"{entry.id}/")))
        if not any(use.matches(path) for name in names for path in _with_folders(name)):
            unused[pattern] = use.likely_reason(root)
    return unused


def _with_folders(path: str) -> Iterator[str]:
    """Yield a path after the folders that lead to it: `a/b.jpg` -> `a/`, `a/b.jpg`."""
    for end in re.finditer("/", path.removesuffix("/")):
        yield path[: end.end()]
    yield path


def is_store(names: Sequence[str]) -> bool:
    """Return whether a folder is a gallery store, given the names of its entries."""
    return DATABASE in names and any(name.startswith(_STORE_MEMBERS) for name in names)


def _own_folders() -> set[tuple[int, int]]:
    """Return the device and inode of folders of this program, which are left out of galleries.

    They are the cache folder and the folder for pictures that users upload in the web app. A folder
    that does not exist is omitted.
    """
    uploads = os.environ.get("GRADIO_TEMP_DIR") or os.path.join(tempfile.gettempdir(), "gradio")
    own = set()
    for folder in (str(cache_folder()), uploads):
        try:
            info = os.stat(folder)
        except OSError:
            continue
        own.add((info.st_dev, info.st_ino))
    return own


def _is_cache_tag(path: str) -> bool:
    """Return whether a file `CACHEDIR.TAG` marks its folder as a cache.

    The format of such files is defined at bford.info/cachedir.
    """
    try:
        with open(path, "rb") as file:
            return file.read(len(_CACHE_SIGNATURE)) == _CACHE_SIGNATURE
    except OSError:
        return False


def _found(id: str, path: str, info: os.stat_result) -> GalleryFile:
    inode = info.st_ino & INODE_BITS
    return GalleryFile(id, path, info.st_size, info.st_mtime_ns, info.st_ctime_ns, inode)


def is_archive(path: str) -> bool:
    """Return whether a file's name is that of an unsupported archive, such as `photos.zip`."""
    return path.lower().endswith(_ARCHIVE_SUFFIXES)


def _describe_packed(path: str, suffix: str, listed_suffix: str | None) -> str:
    """Return the message that a tar or Parquet file is left out, since other files are listed.

    Args:
        path: The path of the file.
        suffix: Its suffix, in lower case.
        listed_suffix: The suffix of the files that are listed; None if pictures are listed.
    """
    kinds = {".tar": "tar file", ".parquet": "Parquet file"}
    kind = kinds[suffix]
    others = "pictures" if listed_suffix is None else f"{kinds[listed_suffix]}s"
    cure = "Unpack it, or index it" if suffix == ".tar" else "If it has pictures, index it"
    return (
        f"{printable(path)}: is a {kind} beside {others}, which is not read with them. {cure} as a "
        "gallery of its own."
    )


def unsupported(id: str, path: str, kind: str) -> LeftOut:
    """Return the record that a picture is left out because its format is not supported.

    Args:
        id: The id of the picture.
        path: The path of the picture, for the message.
        kind: The name of the format, as returned by `identify_kind`.
    """
    message = f"{printable(path)}: is a {kind} picture, which is not read here. {advice_for(kind)}"
    return LeftOut(id, KIND_NOT_SUPPORTED, kind, message)


def _unreadable(relative: str, path: str, error: OSError, what: str) -> LeftOut:
    says = error.strerror or type(error).__name__
    advice = "Check its permissions"
    if what == "link" and isinstance(error, FileNotFoundError):
        says = "what it leads to does not exist"
        advice = "Remove or repair the link, or connect the drive that it leads to"
    elif not isinstance(error, PermissionError):
        advice = "Check the drive, and index again"
    message = f"{printable(path)}: the {what} cannot be read ({says}). {advice}."
    return LeftOut(escape_name(relative), UNREADABLE, message=message)


class PackedFiles(NamedTuple):
    """The tar or Parquet files of a gallery.

    Attributes:
        files: The paths of the files. The keys are the paths relative to a common folder.
        left_out: The files and folders that are not in `files`, with the reasons, by relative path.
    """

    files: dict[str, Path]
    left_out: dict[str, LeftOut]

    @property
    def expected_count(self) -> int:
        """Number of files, including files of a range such as `{000..015}` that do not exist."""
        missing = sum(entry.reason == MISSING for entry in self.left_out.values())
        return len(self.files) + missing


def expand_location(
    location: str, suffix: str, exclude: Sequence[str] = (), visit_once: bool = True
) -> PackedFiles:
    """Return the tar or Parquet files at a location: a file, a folder or a pattern.

    Args:
        location: The path of a file; the path of a folder, for all files with the suffix in the
            folder and its subfolders; or a pattern with `*`, `?`, `[` or numbers such as
            `{000..015}`.
        suffix: The suffix of the files, in lower case. In a folder, files with this suffix in any
            letter case are listed.
        exclude: Patterns of files to leave out, in the syntax of `.gitignore`.
        visit_once: Whether to list a file only once if links in a folder give it several paths.

    Raises:
        ImageError: There is no tar or Parquet file at the location.
    """
    path = Path(location)
    if path.is_file():
        return PackedFiles({escape_name(path.name): path}, {})
    if path.is_dir():
        packed = _find_in_folder(path, suffix, exclude, visit_once)
    else:
        packed = _find_matches(location, exclude)
    if not packed.files:
        raise ImageError(f"{printable(location)}: there is no such {suffix} file. Check the path.")
    return packed


def find_packed_suffix(folder: Path, pictures_end: bool) -> str | None:
    """Return the suffix of the first tar or Parquet file in a folder; None if it has no such file.

    Args:
        folder: The folder, which is searched with its subfolders.
        pictures_end: Whether to return None if the folder also has pictures.
    """
    packed_suffix = None
    for entry in walk_folder(folder):
        if isinstance(entry, UnusedPattern):
            continue
        suffix = os.path.splitext(entry.id)[1].lower()
        if isinstance(entry, GalleryFile) and pictures_end:
            return None
        if isinstance(entry, LeftOut) and entry.reason == PACKED:
            packed_suffix = packed_suffix or suffix
    return packed_suffix


def _find_in_folder(
    folder: Path, suffix: str, exclude: Sequence[str], visit_once: bool
) -> PackedFiles:
    files: dict[str, Path] = {}
    left_out: dict[str, LeftOut] = {}
    for entry in walk_folder(folder, exclude, visit_once, suffix):
        if isinstance(entry, GalleryFile):
            files[entry.id] = Path(entry.path)
        elif isinstance(entry, LeftOut):
            # Pictures beside the tar or Parquet files of a Hub dataset are not reported.
            is_picture = os.path.splitext(entry.id)[1].lower() in SUFFIXES
            if entry.reason != NOT_A_PICTURE or not is_picture:
                left_out[entry.id] = entry
    return PackedFiles(dict(sorted(files.items(), key=lambda file: file[1])), left_out)


def _find_matches(pattern: str, exclude: Sequence[str]) -> PackedFiles:
    """Return the files that match a pattern.

    If a range such as `{000..015}` stands for files that do not exist, these files are in
    `left_out` of the result.
    """
    parts = _expand_numbers(pattern)
    matches: set[Path] = set()
    missing = []
    for part in parts:
        names = glob(part)
        matches.update(Path(name) for name in names)
        if not names and len(parts) > 1:
            missing.append(Path(part))
    paths = [path for path in matches if path.is_file()]
    if not paths:
        return PackedFiles({}, {})
    parent = os.path.commonpath([path.parent for path in (*paths, *missing)])
    names_by_path = {
        path: escape_name(Path(os.path.relpath(path, parent)).as_posix())
        for path in (*matches, *missing)
    }
    excluded = parse_patterns(exclude)
    folders_named = len(_literal_folder(pattern).parts)
    files: dict[str, Path] = {}
    left_out: dict[str, LeftOut] = {}
    seen: set[tuple[int, int]] = set()
    # Links come last, so that a file is listed under its own name.
    for path in sorted(names_by_path, key=lambda path: (_is_link(path, parent), path)):
        name = names_by_path[path]
        folders = path.parts[folders_named:-1]
        if excluded is not None and excluded.match_file(name):
            left_out[name] = LeftOut(name, EXCLUDED)
        elif path not in matches:
            left_out[name] = LeftOut(name, MISSING, message=_describe_missing(path, pattern))
        elif any(map(is_service_folder, folders)):
            left_out[name] = LeftOut(name, SERVICE_FOLDER)
        elif not path.exists():
            message = (
                f"{printable(path)}: the link cannot be read (what it leads to does not exist). "
                "Remove or repair the link, or connect the drive that it leads to."
            )
            left_out[name] = LeftOut(name, UNREADABLE, message=message)
        elif not path.is_file():
            left_out[name] = LeftOut(name, NOT_A_PICTURE)
        elif (key := _identity(path)) in seen:
            left_out[name] = LeftOut(name, LINKED_TWICE)
        else:
            seen.add(key)
            files[name] = path
    return PackedFiles(dict(sorted(files.items(), key=lambda file: file[1])), left_out)


def _describe_missing(path: Path, pattern: str) -> str:
    return (
        f"{printable(path)}: does not exist, but {printable(os.path.basename(pattern))} names it. "
        "Put it there, or name only the files that exist."
    )


def _literal_folder(pattern: str) -> Path:
    """Return the path of the folder in which the search for a pattern begins.

    It is the part of the pattern before the first folder with a wildcard or a range of numbers. For
    `photos/2*/a.tar`, the result is `photos`.
    """
    folder = Path(pattern).parent
    while has_magic(str(folder)) or _NUMBERS.search(str(folder)):
        folder = folder.parent
    return folder


def _is_link(path: Path, parent: str) -> bool:
    """Return whether the path of a file contains a symbolic link below the folder `parent`."""
    relative = os.path.relpath(path, parent)
    return os.path.realpath(path) != os.path.join(os.path.realpath(parent), relative)


def _identity(path: Path) -> tuple[int, int]:
    info = path.stat()
    return info.st_dev, info.st_ino


def _expand_numbers(pattern: str) -> list[str]:
    """Expand ranges of numbers such as `{000..015}` in a pattern, as a shell does.

    Returns:
        One pattern for each combination of numbers: `a-{0..1}.tar` -> `a-0.tar`, `a-1.tar`.
    """
    texts, firsts, lasts = (_NUMBERS.split(pattern)[start::3] for start in range(3))
    ends = [sorted((int(a), int(b))) for a, b in zip(firsts, lasts, strict=True)]
    if prod(high - low + 1 for low, high in ends) > _MAX_FILES:
        raise ImageError(f"{printable(pattern)}: stands for more than {_MAX_FILES:,} files.")
    choices = []
    for (low, high), *written in zip(ends, firsts, lasts, strict=True):
        is_padded = any(len(number) > 1 and number.startswith("0") for number in written)
        width = max(map(len, written)) if is_padded else 1
        choices.append([str(number).zfill(width) for number in range(low, high + 1)])
    return [
        "".join(chain.from_iterable(zip(texts, (*numbers, ""), strict=True)))
        for numbers in product(*choices)
    ]
