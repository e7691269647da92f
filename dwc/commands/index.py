"""Command `dwc index`: embeds pictures and saves their vectors as a gallery store for searches."""

import argparse
import os
import shutil
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwc.commands.console import add_index_argument, expand_home, json_text, parse_count
from dwc.commands.process_group import OtherProcessError, ProcessGroup, is_launched
from dwc.datasets.image_kinds import printable

if TYPE_CHECKING:
    from dwc.gallery.builder import BuildResult
    from dwc.gallery.sources import Source

HELP = "embed pictures into a store; the same command goes on, adds what is new, follows what moved"

_FAILED = 2
_SKIPPED_PRINTED = 20
_SHARED_FOLDER_SECONDS = 90.0  # network drives may hide new folders for a minute


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "source",
        nargs="?",
        metavar="DIR_OR_DATASET",
        help="a folder of pictures, tar or Parquet files, a saved dataset, a dataset of the Hub "
        "(owner/name), or: catalogue",
    )
    parser.add_argument("--model", help="a checkpoint's folder or Hub id (the bundled one)")
    parser.add_argument("--model-revision", help="the model's commit, branch or tag on the Hub")
    parser.add_argument("--revision", help="the dataset's commit, branch or tag on the Hub")
    parser.add_argument("--out", type=expand_home, metavar="STORE", help="the store's folder")
    parser.add_argument(
        "--batch-size", type=parse_count, default=32, help="pictures at a time (32)"
    )
    parser.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="PATTERN",
        help="leave out what matches, as in .gitignore: 'drafts/', '*.gif', '/2019/raw'; may be "
        "repeated",
    )
    parser.add_argument(
        "--prune",
        action="store_true",
        help="remove the pictures whose files are gone, unless all are; otherwise they are kept, "
        "since a drive may be away",
    )
    add_index_argument(parser)
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")
    parser.add_argument(
        "--check",
        type=expand_home,
        metavar="STORE",
        help="verify a store instead: its database, every vector, every thumbnail and its index; "
        "with --index also its rows in Milvus",
    )
    parser.add_argument(
        "--list-stores",
        action="store_true",
        help="list the galleries that the page has embedded, and which of them are orphans: their "
        "folder is gone",
    )
    parser.add_argument(
        "--remove-orphans", action="store_true", help="list them, and remove the orphans"
    )


def run(args: argparse.Namespace) -> int:
    """Build, update or check a gallery store, or list the gallery stores of the web page.

    A gallery store is a folder with the vectors of a gallery's images. If a launcher started
    several processes, they build the store together, and process 0 prints the result. Images that
    cannot be read are skipped, and listed at the end.

    Returns:
        The exit status.
    """
    if args.list_stores or args.remove_orphans:
        return _list_stores(args.remove_orphans, args.json)
    if args.check is not None:
        return _check_store(args.check, args.index, args.json)
    from dwc.errors import ImageError, QueryError

    if args.source is None or args.out is None:
        raise QueryError(
            "index needs a folder of pictures and a store: python -m dwc index PHOTOS --out STORE"
        )
    from dwc.gallery.search_index import AUTO, check_index_name, open_index
    from dwc.gallery.sources import open_source

    # Mistakes in the arguments are reported before torch is imported, which takes seconds.
    index_name = check_index_name(args.index or AUTO)
    source = open_source(args.source, args.revision, args.exclude)

    try:
        result = _build_together(args, source) if is_launched() else _build(args, source)
    except OtherProcessError as error:
        if error.is_reported:
            return _FAILED
        raise
    if result is None:
        return 0
    store, embedded, removed = result
    index = open_index(index_name, store)
    manifest = store.manifest
    remarks = [f"{removed:,} removed from the store"] if removed else []
    if columns := manifest.metadata.get("columns"):
        names = ", ".join(f"{name} ({type})" for name, type in columns.items())
        remarks.append(f"metadata: {names}")
    if index is not None:
        remarks.append(f"index: {index.summary()}")
        index.close()
    print_skipped(manifest.skipped, remarks + manifest.remarks())
    if args.json:
        counts = {"embedded": embedded, "removed": removed}
        summary = {"store": str(store.path), **counts, **manifest.summary()}
        sys.stdout.write(json_text(summary) + "\n")
    else:
        sizes = f"{len(store)} pictures, {len(manifest.skipped)} skipped"
        sys.stdout.write(f"{printable(str(store.path))}: {sizes}\n")
    if len(store) == 0 and not manifest.skipped:
        raise ImageError(
            f"{args.source}: has no pictures now; all {removed:,} rows were removed from the "
            "store. Put pictures there and index again."
        )
    if len(store) == 0:
        raise ImageError(
            f"{args.source}: none of its {len(manifest.skipped)} pictures can be read. The reasons "
            "are above."
        )
    return 0


def _build(args: argparse.Namespace, source: "Source") -> "BuildResult":
    """Build or update the gallery store in this process."""
    from dwc.checkpoints.load import load
    from dwc.gallery.builder import update_store
    from dwc.gallery.parts import join_parts, locked_parts, parts_folder, prepare_parts
    from dwc.modeling.modeling_dwc import local_device
    from dwc.search.image_embedding import image_embedder, model_identity

    loaded = load(args.model, args.model_revision)
    loaded.model.to(local_device())
    model, embed = model_identity(loaded), image_embedder(loaded)
    with ProgressLine() as line:
        if not parts_folder(args.out).is_dir():
            return update_store(
                source, embed, args.out, model, args.batch_size,
                progress=line.show, prune=args.prune,
            )  # fmt: skip
        with locked_parts(args.out):  # a run of several processes was killed
            prepare_parts(source, args.out, model)
            return join_parts(
                source, embed, args.out, model, args.batch_size, line.show, args.prune
            )


def _build_together(args: argparse.Namespace, source: "Source") -> "BuildResult | None":
    """Build or update a gallery store together with the other processes that a launcher started.

    Returns:
        The result in process 0; None in all other processes.
    """
    from dwc.checkpoints.load import load
    from dwc.errors import StoreError
    from dwc.gallery.parts import (
        embed_share,
        join_parts,
        locked_parts,
        part_folder,
        plan_share,
        prepare_parts,
    )
    from dwc.search.image_embedding import image_embedder, model_identity

    with (
        ProgressLine() as line,
        ProcessGroup(line.show) as group,
        locked_parts(args.out) if group.index == 0 else nullcontext(),
    ):
        loaded = load(args.model, args.model_revision)
        loaded.model.to(group.device)
        model, embed = model_identity(loaded), image_embedder(loaded)
        if group.index == 0:
            prepare_parts(source, args.out, model)
        group.wait()
        share = plan_share(source, args.out, group.index, group.count)
        part_folder(args.out, group.index).mkdir(parents=True, exist_ok=True)
        notes = group.wait(f"{model.fingerprint} {share.plan}")
        if len(set(notes)) > 1:
            listed = ", ".join(f"process {n + 1}: {note}" for n, note in enumerate(notes))
            raise StoreError(
                "the processes have different models or pictures to embed (hash of the model, "
                f"number of pictures, hash of their names): {listed}. All hosts need the same "
                "model, and the same pictures and store in folders that they share."
            )
        if group.index == 0:
            _find_parts([part_folder(args.out, index) for index in range(group.count)])
        group.wait()
        workers = max(1, (os.cpu_count() or 1) // group.local_count)
        counted = embed_share(
            share, source, embed, args.out, model, group.index, args.batch_size, workers,
            group.advance,
        )  # fmt: skip
        expected = [int(note) for note in group.wait(str(counted))]
        group.leave()
        if group.index > 0:
            return None
        line.begin("adding to the store")
        return join_parts(
            source, embed, args.out, model, args.batch_size, line.show, args.prune, expected
        )


def _find_parts(folders: Sequence[Path]) -> None:
    """Wait until the folders of all processes are visible on this host.

    A folder that was made on another host may become visible only after some time.

    Raises:
        StoreError: A folder is still missing after 90 seconds.
    """
    from dwc.errors import StoreError

    end = time.monotonic() + _SHARED_FOLDER_SECONDS
    while missing := [folder for folder in folders if not folder.is_dir()]:
        if time.monotonic() > end:
            raise StoreError(
                f"{missing[0]}: was made by another process, and is not there. The folder of the "
                "store has to be one that all hosts share, at the same path."
            )
        time.sleep(0.2)


def print_skipped(skipped: dict[str, str], remarks: list[str]) -> None:
    """Print to stderr the reasons why files were skipped, and then the remarks.

    Args:
        skipped: The reason for each skipped file. If there are many, only the first reasons are
            printed, and the number of further skipped files.
        remarks: Further lines to print.
    """
    for reason in list(skipped.values())[:_SKIPPED_PRINTED]:
        sys.stderr.write(f"skipped: {printable(reason)}\n")
    if len(skipped) > _SKIPPED_PRINTED:
        sys.stderr.write(f"skipped: and {len(skipped) - _SKIPPED_PRINTED} more\n")
    for remark in remarks:
        sys.stderr.write(f"{printable(remark)}\n")


def _check_store(folder: str, index_name: str | None, as_json: bool) -> int:
    from dwc.gallery.search_index import AUTO, verify_index
    from dwc.gallery.store import Store

    store = Store.open(folder)
    store.check()
    verify_index(index_name or AUTO, store)
    if as_json:
        summary = {"store": str(store.path), "sound": True, **store.manifest.summary()}
        sys.stdout.write(json_text(summary) + "\n")
    else:
        sys.stdout.write(f"{printable(str(store.path))}: {len(store):,} pictures, all sound\n")
    return 0


def _list_stores(remove_orphans: bool, as_json: bool) -> int:
    from dwc.gallery.store import list_stores
    from dwc.gallery.walker import cache_folder

    stores = list_stores(cache_folder() / "galleries")
    removed = [store for store in stores if store.orphan] if remove_orphans else []
    for store in removed:
        shutil.rmtree(store.path)
    if as_json:
        entries = [
            {**store._asdict(), "path": str(store.path), "removed": store in removed}
            for store in stores
        ]
        sys.stdout.write(json_text(entries) + "\n")
        return 0
    for store in stores:
        state = "removed" if store in removed else "orphan" if store.orphan else "in use"
        sys.stdout.write(
            f"{store.path}: {state}, {store.pictures} pictures of {store.argument}, "
            f"{store.bytes / 1e6:.1f} MB\n"
        )
    if not stores:
        sys.stdout.write(f"no stores in {cache_folder() / 'galleries'}\n")
    return 0


class ProgressLine:
    """Progress display on stderr: a bar on a terminal, otherwise a line for every 10 percent."""

    def __init__(self, label: str = "") -> None:
        """Create the display; `label`, such as a model's name, is printed before the numbers."""
        self._on_terminal = sys.stderr.isatty()
        self._bar: Any = None
        self.begin(label)

    def __enter__(self) -> "ProgressLine":
        return self

    def __exit__(self, *raised: object) -> None:
        self._close_bar()

    def begin(self, label: str) -> None:
        """Start the progress display of another task, with the given label."""
        self._close_bar()
        self._label = f"{label}: " if label else ""
        self._printed_tenths = -1

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def show(self, finished: int, total: int, seconds_left: float) -> None:
        """Display the progress.

        Args:
            finished: The number of finished images.
            total: The number of all images.
            seconds_left: The estimated seconds until all images are finished; 0 if unknown.
        """
        from tqdm import tqdm

        if self._on_terminal:
            if self._bar is None:
                self._bar = tqdm(
                    total=total,
                    initial=finished,
                    desc=self._label.removesuffix(": ") or None,
                    unit=" pictures",
                    dynamic_ncols=True,
                )
            self._bar.update(finished - self._bar.n)
            return
        tenths = 10 * finished // total if total else 10
        if tenths > self._printed_tenths:
            self._printed_tenths = tenths
            text = f"{self._label}{finished} of {total} pictures"
            if finished < total and seconds_left:
                text += f", {tqdm.format_interval(seconds_left)} left"
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()
