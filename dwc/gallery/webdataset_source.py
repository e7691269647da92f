"""Galleries in WebDataset archives: tar files whose members with the same key form a sample.

The key of a member is its path up to the first dot in the file name. The members `a/7.JPG`,
`a/7.json` and `a/7.txt` form the sample `a/7`: a picture with metadata. Suffixes may have upper or
lower case. The archives are not extracted; pictures are read from their positions in the archives.
"""

import os
import posixpath
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from dwc.datasets.image_kinds import UNREAD_SUFFIXES, escape_name, identify_kind, printable
from dwc.datasets.image_loading import SUFFIXES, open_binary
from dwc.errors import ImageError
from dwc.files import parse_json
from dwc.gallery.metadata import MetadataCollector, UntypedText
from dwc.gallery.sources import BytesItem, Listing, Stamp, file_stamp
from dwc.gallery.walker import (
    EXCLUDED,
    HEADER_BYTES,
    HIDDEN,
    LINKED_TWICE,
    NOT_A_PICTURE,
    SERVICE_FOLDER,
    UNREADABLE,
    LeftOut,
    PackedFiles,
    expand_location,
    find_unused_patterns,
    is_read,
    is_service_folder,
    parse_patterns,
    unsupported,
)

TAR_SUFFIX = ".tar"
_METADATA_SUFFIXES = frozenset({"json", "txt", "cls"})
_MAX_METADATA_BYTES = 1 << 20


@dataclass(frozen=True)
class TarItem(BytesItem):
    """A picture in a tar file; it implements `Item`.

    Attributes:
        id: The name of the tar file and the path of the member in it.
        stamp: The size of the member, and the times and inode of the tar file, to detect changes.
        path: The path of the tar file.
        offset: The position of the picture's first byte in the tar file.
        size: The size of the picture in bytes.
    """

    id: str
    stamp: Stamp | None
    path: str
    offset: int
    size: int

    def read(self) -> bytes:
        """Return the content of the picture's file."""
        return _read_at(self.path, self.offset, self.size)


class WebDatasetSource:
    """The pictures in one or more tar files; their ids begin with the names of the tar files."""

    computed = False

    def __init__(self, location: str, exclude: Iterable[str] = (), visit_once: bool = True) -> None:
        """Build the source for the pictures in existing tar files.

        Args:
            location: A tar file, a folder of tar files, or a pattern such as `shop-*.tar`.
            exclude: Patterns of files and pictures to leave out, in the syntax of `.gitignore`.
            visit_once: Whether to list a tar file only once if several paths lead to it (links).

        Raises:
            ImageError: There is no such file, or a pattern is malformed.
        """
        self.location = str(Path(location).expanduser().absolute())
        self.exclude = tuple(exclude)
        self._excluded = parse_patterns(self.exclude)
        self._visit_once = visit_once
        self._find_files()

    @property
    def argument(self) -> str:
        """The text that names this source in commands: an absolute path or pattern of tar files."""
        return self.location

    @property
    def spec(self) -> dict[str, Any]:
        """The location and the exclude patterns, as JSON-compatible values."""
        excluded = {"exclude": list(self.exclude)} if self.exclude else {}
        return {"kind": "webdataset", "location": self.location, **excluded}

    def list(self) -> Listing:
        """List the pictures in the order of the tar files, with the metadata stored beside them."""
        items: list[TarItem] = []
        files = self._find_files()
        left_out = dict(files.left_out)
        collected = MetadataCollector()
        for name, path in files.files.items():
            archive = _list_archive(str(path), name, file_stamp(path))
            left_out |= archive.left_out
            for item in archive.items.values():
                if self._excluded is not None and self._excluded.match_file(item.id):
                    left_out[item.id] = LeftOut(item.id, EXCLUDED)
                    continue
                items.append(item)
                if (row := archive.rows.get(archive.keys[item.id])) is not None:
                    collected.add(item.id, row)
            for message in archive.problems:
                collected.count_problem(name, message)
        unused = find_unused_patterns(
            self.exclude, [item.id for item in items], left_out.values(), self.location
        )
        return Listing(items, left_out, unused, collected.finish())

    def items(self) -> Sequence[TarItem]:
        """Return the pictures that the tar files contain now."""
        return self.list().items  # type: ignore[return-value]

    def item(self, id: str) -> TarItem:
        """Return the picture with the given id; raise `ImageError` if there is none."""
        for name, path in self._find_files().files.items():
            if id.startswith(f"{name}/"):
                item = _list_archive(str(path), name, file_stamp(path)).items.get(id)
                if item is not None:
                    return item
        raise ImageError(f"{printable(id)}: is not in {self.location}. Index it again.")

    def _find_files(self) -> PackedFiles:
        return expand_location(self.location, TAR_SUFFIX, self.exclude, self._visit_once)


@dataclass(frozen=True)
class _Archive:
    """The content of one tar file: its pictures and their metadata.

    A picture and its metadata are members of the tar file with the same key: the path up to the
    first dot in the file name.

    Attributes:
        items: The pictures by id.
        keys: The key of each picture, by the picture's id.
        rows: The metadata, by key.
        left_out: The members and folders that are not in `items`, with the reasons, by id.
        problems: Messages about metadata that cannot be used.
    """

    items: dict[str, TarItem]
    keys: dict[str, str]
    rows: dict[str, dict[str, Any]]
    left_out: dict[str, LeftOut]
    problems: list[str]


@lru_cache(maxsize=64)
def _list_archive(path: str, name: str, stamp: Stamp) -> _Archive:
    """List the pictures and the metadata in a tar file.

    Args:
        path: The path of the tar file.
        name: The tar file's name, with which ids begin.
        stamp: The size, times and inode of the tar file. Results are cached for equal arguments; a
            changed file has another stamp, so it is listed again.
    """
    archive = _Archive({}, {}, {}, {}, [])
    links: dict[str, tarfile.TarInfo] = {}
    for member in _members(path, name, archive.left_out):
        folder, base = posixpath.split(posixpath.normpath(member.name))
        stem, dot, extension = base.partition(".")
        id = f"{name}/{escape_name(posixpath.join(folder, base))}"
        suffix = posixpath.splitext(base)[1].lower()
        key = posixpath.join(folder, stem)
        if (reason := _reason_for_folder(folder)) is not None:
            left_out_id = f"{name}/{escape_name(reason[0])}"
            archive.left_out[left_out_id] = LeftOut(left_out_id, reason[1])
        elif (member.issym() or member.islnk()) and suffix in SUFFIXES:
            links[id] = member
        elif not dot or not stem or not member.isreg():
            archive.left_out[id] = LeftOut(id, NOT_A_PICTURE)
        elif extension.lower() in _METADATA_SUFFIXES:
            _add_metadata(archive, key, extension.lower(), path, member)
        elif (kind := _unread_kind(path, member, suffix)) is not None:
            archive.left_out[id] = unsupported(id, id, kind)
        elif suffix in SUFFIXES or suffix in UNREAD_SUFFIXES:
            if id in archive.keys:
                archive.problems.append(f"{id} occurs several times; the last is used")
            archive.keys[id] = key
            member_stamp = stamp._replace(size=member.size)
            archive.items[id] = TarItem(id, member_stamp, path, member.offset_data, member.size)
        else:
            archive.left_out[id] = LeftOut(id, NOT_A_PICTURE)
    for id, link in links.items():
        archive.left_out[id] = _describe_link(archive, name, id, link)
    return archive


@lru_cache(maxsize=1024)
def _reason_for_folder(folder: str) -> tuple[str, str] | None:
    """Find the outermost folder in a path that is a hidden folder or a service folder.

    Such folders are left out of a gallery. Programs store previews or deleted files in service
    folders; see `is_service_folder`.

    Args:
        folder: The path of a folder in a tar file.

    Returns:
        The path of the folder that is left out, and the reason; None if there is none. For the path
        `a/.cache/b`, the result is `a/.cache` and "hidden".
    """
    parts = folder.split("/")
    for depth, part in enumerate(parts):
        if part.startswith(".") and part != "..":
            return "/".join(parts[: depth + 1]), HIDDEN
        if is_service_folder(part, parts[depth - 1] if depth else ""):
            return "/".join(parts[: depth + 1]), SERVICE_FOLDER
    return None


def _unread_kind(path: str, member: tarfile.TarInfo, suffix: str) -> str | None:
    """Return a tar member's picture format, such as "RAW", if it is unsupported; else None."""
    if suffix in SUFFIXES or suffix not in UNREAD_SUFFIXES:
        return None
    try:
        header = _read_at(path, member.offset_data, min(member.size, HEADER_BYTES))
    except ImageError:  # the tar file is cut off, which `_members` reports
        header = b""
    kind = identify_kind(suffix, header)
    return None if kind is None or is_read(kind) else kind


def _describe_link(archive: _Archive, name: str, id: str, link: tarfile.TarInfo) -> LeftOut:
    """Return why a picture that is a link in a tar file is left out.

    Args:
        archive: The content of the tar file.
        name: The name of the tar file, with which ids begin.
        id: The id that the picture would have.
        link: The link.
    """
    folder = posixpath.dirname(link.name) if link.issym() else ""
    target = posixpath.normpath(posixpath.join(folder, link.linkname))
    if f"{name}/{escape_name(target)}" in archive.items:
        return LeftOut(id, LINKED_TWICE)
    message = (
        f"{printable(id)}: is a link to {printable(link.linkname)}, which is no picture in the tar "
        "file. Write the tar file again with what links lead to (tar --dereference)."
    )
    return LeftOut(id, UNREADABLE, message=message)


def _members(path: str, name: str, left_out: dict[str, LeftOut]) -> Iterator[tarfile.TarInfo]:
    """Yield the members of a tar file, except folders.

    Args:
        path: The path of the tar file.
        name: The tar file's name, with which ids begin.
        left_out: The files that are left out, by id. If the tar file is damaged, it is added to
            this dict.
    """
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                if not member.isdir():
                    yield member
            problem = _describe_end(path, archive.offset)
        if problem is not None:
            message = f"{printable(name)}: {problem} Pictures behind it are missing."
            left_out[name] = LeftOut(name, UNREADABLE, message=message)
    except (tarfile.TarError, OSError, EOFError) as error:
        message = (
            f"{printable(name)}: cannot be read as a tar file to its end ({error}). Decompress it "
            "if it is compressed; otherwise copy it again."
        )
        left_out[name] = LeftOut(name, UNREADABLE, message=message)


def _describe_end(path: str, offset: int) -> str | None:
    """Return a message about a damaged end of a tar file; None if the end is intact.

    The check is needed because `tarfile` stops at a damaged or incomplete header without an error.

    Args:
        path: The file.
        offset: The position in bytes after the last member, where the next header would begin.
    """
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(offset)
        header = file.read(tarfile.BLOCKSIZE)
        if len(header) < tarfile.BLOCKSIZE:
            return f"ends at byte {size:,} without the end of a tar file. Copy it again."
        if any(header):
            return f"has a damaged header at byte {offset:,} of {size:,}. Copy it again."
        while block := file.read(1 << 20):
            if block.strip(b"\0"):
                return (
                    f"goes on behind its end at byte {offset:,} of {size:,}. If it was joined from "
                    "several tar files, give these instead; otherwise copy it again."
                )
    return None


def _add_metadata(
    archive: _Archive, key: str, extension: str, path: str, member: tarfile.TarInfo
) -> None:
    row = archive.rows.setdefault(key, {})
    if member.size > _MAX_METADATA_BYTES:
        archive.problems.append(f"{member.name} has {member.size:,} bytes of metadata")
        return
    try:
        text = _read_at(path, member.offset_data, member.size).decode("utf-8-sig")
        if extension != "json":
            # A class may become a number; a caption stays a text, even if all its characters are
            # digits.
            kind = UntypedText if extension == "cls" else str
            row["cls" if extension == "cls" else "text"] = kind(text.strip())
            return
        content = parse_json(text)
    except (ValueError, ImageError) as error:
        archive.problems.append(f"{member.name} cannot be read ({error})")
        return
    for column, value in content.items() if isinstance(content, dict) else [("json", content)]:
        row[column] = value


def _read_at(path: str, offset: int, size: int) -> bytes:
    with open_binary(path) as file:
        file.seek(offset)
        content = file.read(size)
    if len(content) < size:
        raise ImageError(f"{printable(path)}: ends within a member. Copy it again.")
    return content
