"""Sources of a gallery's pictures: a folder, a dataset on the Hub, or the catalogue of drawings.

The modules `webdataset_source` and `dataset_source` contain the sources of pictures in tar files,
in Parquet files and in datasets that the library `datasets` saved.
"""

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from PIL import Image

from dwc.catalogue.splits import DEFAULT_SIZE, FAMILIES, catalogue_items
from dwc.datasets.image_kinds import printable, unescape_name
from dwc.datasets.image_loading import SUFFIXES, decode, decode_file, open_binary
from dwc.errors import ImageError
from dwc.gallery.listed_files import ListedFiles
from dwc.gallery.metadata import (
    TABLES,
    ListedMetadata,
    describe_table_beside,
    describe_unused_tables,
    is_table,
    read_tables,
)
from dwc.gallery.walker import (
    INODE_BITS,
    NOT_A_PICTURE,
    PACKED_SUFFIXES,
    GalleryFile,
    LeftOut,
    UnusedPattern,
    find_packed_suffix,
    is_archive,
    parse_patterns,
    walk_folder,
)

if TYPE_CHECKING:
    from dwc.catalogue.splits import CatalogueItem

logger = logging.getLogger(__name__)

CATALOGUE = "catalogue"
_BLOCK_BYTES = 1 << 20


class Stamp(NamedTuple):
    """Properties of a file that reveal whether its content has changed.

    A program may restore the modification time after it has edited a file, and files of equal size
    and modification time may exchange their names. `ctime_ns` and `inode` reveal such changes.

    Attributes:
        size: Size in bytes.
        mtime_ns: Modification time in nanoseconds.
        ctime_ns: Time in nanoseconds of the last change of content, name or permissions; on
            Windows, of the creation. None if unknown.
        inode: Number by which the file system identifies the file; None if unknown.
    """

    size: int
    mtime_ns: int
    ctime_ns: int | None = None
    inode: int | None = None


class Item(Protocol):
    """Interface of a picture in a source, before the picture is decoded.

    An object with this interface takes little memory and can be pickled.
    """

    @property
    def id(self) -> str:
        """Identifier of the picture: unique in the source, and the same whenever it is listed."""

    @property
    def stamp(self) -> Stamp | None:
        """Size, times and inode of the picture's file, to detect changes.

        None if the picture has no file.
        """

    def content_key(self) -> str:
        """Return the content key, a hash that identifies the picture's content.

        Raises:
            ImageError: The picture no longer exists or cannot be read.
        """

    def open(self) -> Image.Image:
        """Decode and return the picture, upright and in sRGB.

        Raises:
            ImageError: The picture cannot be read.
        """

    def load(self, known: Collection[str]) -> tuple[str, Image.Image | None]:
        """Return the content key (hash of the content) and, if the key is new, the decoded picture.

        Args:
            known: Content keys of pictures that need not be decoded.

        Returns:
            The content key, and the decoded picture; None instead of the picture if the key is in
            `known`.

        Raises:
            ImageError: The picture cannot be read.
        """


@dataclass(frozen=True)
class Listing:
    """The pictures that a source contained when it was listed, and the files left out.

    Attributes:
        items: The pictures. The same pictures always have the same order.
        left_out: The files and folders that are not in `items`, with the reasons, by id.
        unused_patterns: The exclude patterns without effect, with the likely reasons.
        metadata: The metadata of the pictures; None if the source could not be read, or cannot have
            metadata.
    """

    items: Sequence[Item]
    left_out: dict[str, LeftOut] = field(default_factory=dict)
    unused_patterns: dict[str, str] = field(default_factory=dict)
    metadata: ListedMetadata | None = None

    @property
    def reasons(self) -> dict[str, int]:
        """Number of files and folders that were left out, by reason."""
        return dict(Counter(entry.reason for entry in self.left_out.values()))

    @property
    def unsupported(self) -> dict[str, int]:
        """Number of pictures and archives that this package cannot read, by format."""
        return dict(Counter(entry.kind for entry in self.left_out.values() if entry.kind))


class Source(Protocol):
    """Interface of a source of pictures.

    A source can be saved as its `spec`, a JSON-compatible dict, and opened again by `from_spec`.

    Attributes:
        computed: Whether the pictures are drawn by Python code instead of decoded from files.
    """

    computed: bool

    @property
    def argument(self) -> str:
        """The command-line argument that names this source: "photos" in `dwc index photos`.

        It may be a path, a pattern, the id of a dataset on the Hub, or "catalogue".
        """

    @property
    def spec(self) -> dict[str, Any]:
        """A JSON-compatible description, from which `from_spec` opens the source again."""

    def list(self) -> Listing:
        """List the pictures that the source contains now, and the files that are left out."""

    def items(self) -> Sequence[Item]:
        """Return the pictures that the source contains now."""

    def item(self, id: str) -> Item:
        """Return the picture with an id; raise `ImageError` if there is none."""


class FileItem(NamedTuple):
    """A picture file of a source, not decoded yet; implements `Item`.

    Attributes:
        id: Identifier of the picture in its source.
        path: Path of the file.
        stamp: Size, times and inode of the file; None if they were not read.
    """

    id: str
    path: str
    stamp: Stamp | None = None

    @classmethod
    def from_file(cls, file: GalleryFile) -> "FileItem":
        """Build the object from a `GalleryFile`, a file that was found in a folder."""
        id, path, *stamp = file
        return cls(id, path, Stamp(*stamp))

    def content_key(self) -> str:
        """Return a hash of the file's bytes."""
        return self._read(None)[0]

    def open(self) -> Image.Image:
        """Decode the file, and return the picture."""
        return decode(self.path)

    def load(self, known: Collection[str]) -> tuple[str, Image.Image | None]:
        """Return the hash of the file's bytes, and the decoded picture.

        The picture is None if the hash is in `known`. The file is opened only once.
        """
        return self._read(known)

    def _read(self, known: Collection[str] | None) -> tuple[str, Image.Image | None]:
        digest = hashlib.blake2b(digest_size=16)
        with open_binary(self.path) as file:
            try:
                while block := file.read(_BLOCK_BYTES):
                    digest.update(block)
            except OSError as error:
                name = printable(self.path)
                raise ImageError(f"{name}: cannot be read ({error.strerror}).") from error
            key = digest.hexdigest()
            if known is None or key in known:
                return key, None
            return key, decode_file(file, printable(self.path))


class BytesItem:
    """Base class of pictures that are stored inside another file; it implements `Item`.

    Attributes:
        id: Identifier of the picture in its source.
    """

    id: str

    def read(self) -> bytes:
        """Return the content of the picture's file; raise `ImageError` if it cannot be read."""
        raise NotImplementedError

    def content_key(self) -> str:
        """Return a hash of the content of the picture's file."""
        return hashlib.blake2b(self.read(), digest_size=16).hexdigest()

    def open(self) -> Image.Image:
        """Decode the content, and return the picture."""
        return decode_file(BytesIO(self.read()), printable(self.id))

    def load(self, known: Collection[str]) -> tuple[str, Image.Image | None]:
        """Return the hash of the file's content, and the decoded picture.

        The picture is None if the hash is in `known`.
        """
        content = self.read()
        key = hashlib.blake2b(content, digest_size=16).hexdigest()
        if key in known:
            return key, None
        return key, decode_file(BytesIO(content), printable(self.id))


def file_stamp(path: Path) -> Stamp:
    """Return the size, times and inode of a file; raise `ImageError` if it cannot be accessed."""
    try:
        info = path.stat()
    except OSError as error:
        raise ImageError(f"{printable(path)}: cannot be read ({error.strerror}).") from error
    inode = info.st_ino & INODE_BITS
    return Stamp(info.st_size, info.st_mtime_ns, info.st_ctime_ns, inode)


class FolderSource:
    """The picture files of a folder and its subfolders; their ids are their relative paths.

    A file or folder is left out for one of the reasons in `dwc.gallery.walker.REASONS`. Links in
    the folder's path are resolved, so that all paths to the same folder give the same source.
    """

    computed = False

    def __init__(
        self,
        folder: str | Path,
        exclude: Iterable[str] = (),
        visit_once: bool = True,
        may_be_away: bool = False,
    ) -> None:
        """Build the object for the pictures of an existing folder.

        Args:
            folder: Path of the folder.
            exclude: Patterns of files and folders to leave out, in the syntax of `.gitignore`.
            visit_once: Whether a file that has several paths in the folder, because of links, is
                listed only once. If False, it is listed under each of these paths.
            may_be_away: Whether the folder may be missing, for example on a drive that is not
                mounted. `list` then reports the folder as unreadable.

        Raises:
            ImageError: There is no such folder, or a pattern is malformed.
        """
        self.folder = Path(folder).expanduser().resolve()
        self.exclude = tuple(exclude)
        self._visit_once = visit_once
        if self.folder.is_file():
            name = printable(folder)
            if is_archive(name):
                raise ImageError(
                    f"{name}: is an archive, which is not read here. Unpack it, and name the "
                    "folder; or pack its pictures in a tar file without compression."
                )
            raise ImageError(f"{name}: is a file; a gallery is a folder. Name the folder it is in.")
        if not may_be_away and not self.folder.is_dir():
            raise ImageError(f"{printable(folder)}: there is no such folder. Check the path.")
        parse_patterns(self.exclude)

    @property
    def argument(self) -> str:
        """The command-line argument that names this source: the folder's absolute path."""
        return str(self.folder)

    @property
    def spec(self) -> dict[str, Any]:
        """The folder's absolute path and the exclude patterns, as JSON-compatible values."""
        excluded = {"exclude": list(self.exclude)} if self.exclude else {}
        return {"kind": "folder", "folder": str(self.folder), **excluded}

    def list(self) -> Listing:
        """List the pictures in the folder, ordered by id, with the metadata in its tables."""
        left_out: dict[str, LeftOut] = {}
        unused: dict[str, str] = {}

        def find_files() -> Iterator[GalleryFile]:
            for entry in walk_folder(self.folder, self.exclude, self._visit_once):
                if isinstance(entry, LeftOut):
                    left_out[entry.id] = entry
                elif isinstance(entry, UnusedPattern):
                    unused[entry.pattern] = entry.reason
                else:
                    yield entry

        items = ListedFiles(find_files(), str(self.folder), FileItem.from_file)
        metadata = None
        if "." not in left_out:  # the folder could be read
            files = [id for id, e in left_out.items() if e.reason == NOT_A_PICTURE]
            tables = [id for id in files if is_table(id)]
            metadata = read_tables(self.folder, tables, list(items.ids()) if tables else [])
            for table in tables:
                del left_out[table]
            if not tables:
                note = describe_table_beside(self.folder) or describe_unused_tables(files)
                if note:
                    metadata = ListedMetadata(problems=(note,))
        return Listing(items, left_out, unused, metadata)

    def items(self) -> Sequence[FileItem]:
        """Return the picture files that the folder contains now, ordered by id."""
        return self.list().items  # type: ignore[return-value]

    def item(self, id: str) -> FileItem:
        """Return the picture file with an id.

        Raises:
            ImageError: There is no such file in the folder.
        """
        relative = PurePosixPath(unescape_name(id))
        path = self.folder / relative
        if relative.is_absolute() or ".." in relative.parts or not _is_file(path):
            raise ImageError(f"{printable(id)}: is no file in {self.folder}. Index it again.")
        return FileItem(id, str(path))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


class HubDatasetSource:
    """The pictures of a dataset repository on the Hugging Face Hub, downloaded once.

    If the repository has Parquet or tar files and no table that lists picture files, the pictures
    are those in the Parquet or tar files. Otherwise they are the repository's picture files. The
    library `datasets` is not used to choose the files, because it takes a name such as `train` for
    the name of a split. If the repository has a folder `train` or a file `train-print-shirt.jpg`,
    the library would ignore all other pictures.
    """

    computed = False

    def __init__(
        self,
        repo_id: str,
        revision: str | None = None,
        exclude: Iterable[str] = (),
        column: str | None = None,
    ) -> None:
        """Build the object for the pictures of an existing dataset.

        Args:
            repo_id: The repository's id on the Hub, `owner/name`.
            revision: A commit, branch or tag; None for the newest commit.
            exclude: Patterns of files to leave out, in the syntax of `.gitignore`.
            column: The column of Parquet files that has the pictures; None if only one column has
                pictures.
        """
        self.column = column
        self.repo_id = repo_id
        self.revision = revision
        self.exclude = tuple(exclude)
        parse_patterns(self.exclude)

    @property
    def argument(self) -> str:
        """The command-line argument that names this source: the repository's id."""
        return self.repo_id

    @property
    def spec(self) -> dict[str, Any]:
        """The repository, revision, column and exclude patterns, as JSON-compatible values."""
        excluded = {"exclude": list(self.exclude)} if self.exclude else {}
        column = {} if self.column is None else {"column": self.column}
        repository = {"repo_id": self.repo_id, "revision": self.revision}
        return {"kind": "hub", **repository, **column, **excluded}

    def list(self) -> Listing:
        """List the pictures; the first call downloads the files."""
        return self._downloaded.list()

    def items(self) -> Sequence[Item]:
        """Return the pictures; the first call downloads the files."""
        return self._downloaded.items()

    def item(self, id: str) -> Item:
        """Return the picture with the given id; an id begins with a path in the repository."""
        return self._downloaded.item(id)

    @cached_property
    def _downloaded(self) -> Source:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import (
            HfHubHTTPError,
            HFValidationError,
            LocalEntryNotFoundError,
        )

        patterns = [f"*{s}" for suffix in sorted(SUFFIXES) for s in (suffix, suffix.upper())]
        patterns += [f"*{table}" for table in TABLES]
        patterns += [f"*{s}" for suffix in PACKED_SUFFIXES for s in (suffix, suffix.upper())]
        try:
            folder = snapshot_download(
                self.repo_id,
                repo_type="dataset",
                revision=self.revision,
                allow_patterns=patterns,
            )
        except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
            raise ImageError(
                f"{self.repo_id}: is neither a folder here nor a dataset that the Hub gives out "
                f"({error}). Check the name, the connection, and your access."
            ) from error
        # In the Hub's cache, names of files with equal content are links to one file. Every name
        # counts as a picture.
        files = FolderSource(folder, self.exclude, visit_once=False)
        has_table = any(is_table(file.name) for file in Path(folder).rglob("*"))
        packed = None if has_table else _packed_source(folder, self.column, self.exclude, files)
        return packed or files


@dataclass(frozen=True)
class DrawnItem:
    """A garment of the catalogue, drawn only when it is opened; implements `Item`."""

    garment: "CatalogueItem"
    picture_px: int
    stamp = None

    @property
    def id(self) -> str:
        """Id of the garment in the catalogue."""
        return self.garment.id

    def content_key(self) -> str:
        """Return a hash of everything that determines the drawing.

        The hash covers the garment's attributes, the random seed, the size in pixels, and the
        version of the drawing code.
        """
        from dwc.catalogue.drawing import DRAWING_VERSION

        garment = self.garment
        drawn = repr((garment.garment, garment.picture_seed, self.picture_px, DRAWING_VERSION))
        return hashlib.blake2b(drawn.encode(), digest_size=16).hexdigest()

    def open(self) -> Image.Image:
        """Draw the garment, and return the drawing."""
        from dwc.catalogue.drawing.draw import draw

        return draw(self.garment.garment, self.garment.picture_seed, self.picture_px)

    def load(self, known: Collection[str]) -> tuple[str, Image.Image | None]:
        """Return the content key (a hash) and the drawing.

        The drawing is None if the key is in `known`.
        """
        key = self.content_key()
        return key, None if key in known else self.open()


class CatalogueSource:
    """Drawn garments, as square pictures of `picture_px` pixels a side.

    The garments are those of the default gallery, or of a split of the catalogue, such as "train"
    or "test". Two splits have no garment in common.
    """

    computed = True

    def __init__(
        self, split: str = FAMILIES, size: int = DEFAULT_SIZE, picture_px: int = 256
    ) -> None:
        """Build the object for the first `size` garments of a split or of the default gallery.

        Args:
            split: The name of the split; "families" for the default gallery.
            size: The number of garments.
            picture_px: The width and height of each picture in pixels.
        """
        self.split = split
        self.size = size
        self.picture_px = picture_px

    @property
    def argument(self) -> str:
        """The command-line argument that names this source: the word "catalogue"."""
        return CATALOGUE

    @property
    def spec(self) -> dict[str, Any]:
        """The split, the number of garments and the picture size, as JSON-compatible values."""
        return {
            "kind": CATALOGUE,
            "split": self.split,
            "size": self.size,
            "picture_px": self.picture_px,
        }

    def list(self) -> Listing:
        """List the `size` garments of this source, in the catalogue's order."""
        return Listing(self.items())

    def items(self) -> Sequence[DrawnItem]:
        """Return the `size` garments of this source, in the catalogue's order."""
        return list(self._by_id.values())

    def item(self, id: str) -> DrawnItem:
        """Return the garment with an id; raise `ImageError` if there is none."""
        if id not in self._by_id:
            raise ImageError(
                f"{id}: is not in the catalogue's gallery {self.split} of {self.size}. "
                "Index the catalogue again."
            )
        return self._by_id[id]

    @cached_property
    def _by_id(self) -> dict[str, DrawnItem]:
        items = catalogue_items(self.split, self.size)
        return {item.id: DrawnItem(item, self.picture_px) for item in items}


def open_source(argument: str, revision: str | None = None, exclude: Iterable[str] = ()) -> Source:
    """Open the source that a command-line argument names.

    Args:
        argument: "catalogue" for the drawn garments (write `./catalogue` for a folder of that
            name); the path of a folder; a tar file or Parquet file, or a pattern for several files;
            a dataset that was saved with the library `datasets`; or the `owner/name` or
            `owner/name@revision` of a dataset on the Hub. If a folder of that path exists,
            `owner/name` means the folder. The name of a dataset's column of pictures may be added
            after `#`.
        revision: A dataset's commit, branch or tag; None for the newest commit.
        exclude: Patterns of files to leave out of a folder or dataset, as in `.gitignore`.

    Raises:
        ImageError: There is no such folder or file, or a pattern is malformed.
    """
    if argument == CATALOGUE:
        if Path(CATALOGUE).is_dir():
            logger.warning(
                "%s means the drawn garments; there is also a folder of that name, for which write "
                "./%s",
                CATALOGUE,
                CATALOGUE,
            )
        return CatalogueSource()
    location, column = argument, None
    if "#" in argument and not Path(argument).expanduser().exists():
        location, _, column = argument.rpartition("#")
    path = Path(location).expanduser()
    repo_id, _, named = location.partition("@")
    is_local = path.is_dir() or location.lower().endswith(PACKED_SUFFIXES)
    if not is_local and _looks_like_repository(repo_id):
        return HubDatasetSource(repo_id, revision or named or None, exclude, column)
    if (packed := _packed_source(location, column, exclude)) is not None:
        return packed
    if column is not None:
        raise ImageError(
            f"{printable(location)}: is not a dataset, and has no column {column!r}. Leave out "
            f"#{column}."
        )
    return FolderSource(location, exclude)


def _packed_source(
    location: str,
    column: str | None,
    exclude: Iterable[str],
    files: FolderSource | None = None,
) -> Source | None:
    """Open a source of tar files, of Parquet files or of a saved dataset.

    In a downloaded folder, tar or Parquet files are used even if there are pictures beside them,
    and a dataset may not refer to files outside the folder. In a local folder, tar or Parquet files
    are used only if the folder has no pictures.

    Args:
        location: A path, or a pattern for several files.
        column: The dataset's column with the pictures; None if only one column has pictures.
        exclude: Patterns of files to leave out.
        files: For a downloaded folder, the source of the picture files in it; only its presence
            matters. None for a local location.

    Returns:
        The source; None if the location has no tar files, Parquet files or saved dataset to use.
    """
    from dwc.gallery.dataset_source import DatasetSource, is_saved_dataset
    from dwc.gallery.webdataset_source import WebDatasetSource

    path = Path(location).expanduser()
    # A downloaded dataset was written by others; it must not show the files of this computer.
    within, visit_once = (None, True) if files is None else (path, False)
    if not path.is_dir():
        suffix = next((s for s in PACKED_SUFFIXES if location.lower().endswith(s)), None)
    elif is_saved_dataset(path):
        return DatasetSource(location, column, exclude, within, visit_once)
    else:
        suffix = find_packed_suffix(path, pictures_end=files is None)
    if suffix is None:
        return None
    if suffix == ".tar":
        return WebDatasetSource(location, exclude, visit_once=visit_once)
    dataset = DatasetSource(location, column, exclude, within, visit_once)
    has_pictures = files is None or column is not None or dataset.has_pictures()
    return dataset if has_pictures else None


def from_spec(spec: dict[str, Any]) -> Source:
    """Open a source again from its `spec`, the JSON-compatible dict that describes it.

    Raises:
        ImageError: The source is a local folder or dataset that does not exist any more.
    """
    from dwc.gallery.dataset_source import DatasetSource
    from dwc.gallery.webdataset_source import WebDatasetSource

    options = {name: value for name, value in spec.items() if name != "kind"}
    kinds: dict[str, Callable[..., Source]] = {
        "folder": FolderSource,
        "hub": HubDatasetSource,
        "dataset": DatasetSource,
        "webdataset": WebDatasetSource,
        CATALOGUE: CatalogueSource,
    }
    return kinds[spec["kind"]](**options)


_COMPARED_PICTURES = 24


def is_same_gallery(spec: dict[str, Any], source: Source, content_keys: Mapping[str, str]) -> bool:
    """Return whether a gallery store belongs to a source, and may be updated from that source.

    Datasets are compared by repository id or location, and column; folders by path; and galleries
    of the catalogue by split. A folder with another path counts as the recorded folder if the
    recorded folder was probably renamed or moved to that path. This is assumed if, in a sample of
    the store's pictures, no picture is in the recorded folder any more, and at least half of the
    pictures are in the source's folder with the same content.

    Args:
        spec: The property `spec` of the store's source, as recorded in the store.
        source: The source that is to be indexed.
        content_keys: The content keys (hashes of the content) of the store's pictures, by id.
    """
    new = source.spec
    if spec.get("kind") != new["kind"]:
        return False
    if new["kind"] != "folder":
        return all(
            spec.get(name) == new.get(name) for name in ("repo_id", "location", "column", "split")
        )
    if _is_same_folder(spec["folder"], new["folder"]):
        return True
    ids = sorted(content_keys)
    sample = ids[:: max(1, len(ids) // _COMPARED_PICTURES)][:_COMPARED_PICTURES]
    if not sample or any(_has_file(spec, id) for id in sample):
        return False
    return 2 * sum(_content_key(source, id) == content_keys[id] for id in sample) >= len(sample)


def _is_same_folder(first: str, second: str) -> bool:
    try:
        return first == second or os.path.samefile(first, second)
    except OSError:
        return False


def _has_file(spec: dict[str, Any], id: str) -> bool:
    return _is_file(Path(spec["folder"], unescape_name(id)))


def _content_key(source: Source, id: str) -> str | None:
    try:
        return source.item(id).content_key()
    except ImageError:
        return None


def _looks_like_repository(argument: str) -> bool:
    return argument.count("/") == 1 and not argument.startswith(("/", ".", "~"))
