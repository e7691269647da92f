"""Start-up of the app: loading of the models, embedding of the gallery, and launch options.

To embed a gallery with a model means to compute the vectors of its images with that model. The
vectors are saved in a gallery store (a folder with vectors and thumbnails) and reused at later
starts.
"""

import hashlib
import logging
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse
from starlette.routing import Route

from dwc.checkpoints import load
from dwc.checkpoints.load import GALLERY_VECTORS, Checkpoint
from dwc.errors import CheckpointError, DWCError, ImageError, StoreError
from dwc.gallery.builder import (
    PrecomputedVector,
    Progress,
    build_store,
    draw_thumbnails,
    load_precomputed,
)
from dwc.gallery.search_index import AUTO, open_index
from dwc.gallery.sources import FolderSource, Source, open_source
from dwc.gallery.store import Store, find_store
from dwc.gallery.walker import cache_folder
from dwc.lazy_pattern import compile_all
from dwc.search.image_embedding import image_embedder, model_identity
from dwc.search.model_pool import KEEP_LOADED, ModelPool, short_name
from dwc.search.searcher import Searcher
from dwc.ui import zerogpu
from dwc.ui.concurrency import TellWhenToRetry
from dwc.ui.gallery_images import DrawThumbnails, GalleryImages, LargePictures
from dwc.ui.indexing import GalleryIndexing, StoppedError
from dwc.ui.panels.header import INDEXING_ADDRESS, indexing_answer
from dwc.ui.security import (
    EXCEPTION_HANDLERS,
    FetchNothing,
    LimitRequests,
    MarkBadInputs,
    OnePage,
    body_limits,
)
from dwc.ui.uploads import expire_uploads

logger = logging.getLogger(__name__)

_NOT_IN_FILE_NAMES = re.compile(r"[^A-Za-z0-9.-]+")
_SKIPPED_LOGGED = 20

ShowProgress = Callable[[str], AbstractContextManager[Progress]]
"""Function that shows the progress while a model embeds the gallery.

Its argument is the model's name. It returns a context manager, which yields the progress callback.
"""


class OpenedModels(NamedTuple):
    """The models of the app, ready for use.

    Attributes:
        models: The models.
        store: The gallery store of the first model. The page shows the images of this store,
            whichever model is selected.
    """

    models: ModelPool
    store: Store


def open_models(
    arguments: Sequence[str | None],
    gallery: str,
    show_progress: ShowProgress,
    keep_loaded: int = KEEP_LOADED,
    waits: bool = True,
    index: str = AUTO,
    indexing: GalleryIndexing | None = None,
) -> OpenedModels:
    """Load the models of the app, and compute the gallery's vectors with each model.

    A model that is opened for the first time embeds the gallery: it computes the vectors of the
    gallery's images. The first model is the default; if it cannot be opened, an error is raised. If
    another model cannot be opened, a warning is logged and the model is left out.

    Args:
        arguments: Where each model is loaded from: a folder, a name on the Hugging Face Hub, or
            None for the bundled model.
        gallery: The gallery: "catalogue" (the built-in drawings of garments), a folder, or a
            dataset on the Hugging Face Hub.
        show_progress: Function that shows the progress of embedding the gallery.
        keep_loaded: The maximum number of models in memory.
        waits: Whether to open all models before returning. If False, only the first model is
            opened; the other models are opened by `open_meanwhile`, or by the first query that
            requests them.
        index: The name of the index (exact or approximate) with which the gallery is searched, as
            for `open_index`.
        indexing: The object that indexes the gallery with the first model. If indexing takes longer
            than a few seconds, the returned store has only a part of the gallery, and the other
            models are opened by `open_meanwhile`. None to wait for the complete gallery.

    Raises:
        DWCError: The first model cannot be opened.
        OSError: The first model's files cannot be read, or its gallery store (the folder with the
            vectors) cannot be read or written.
    """
    sources = name_models(arguments)
    opener = _ModelOpener(sources, gallery, show_progress, index, indexing)
    models = ModelPool(list(sources), opener.open, keep_loaded)
    first, *others = sources
    with models.using(first):
        pass
    is_complete = indexing is None or not indexing.is_open
    for name in others if waits and is_complete else ():
        _open_or_withdraw(models, name)
    if indexing is not None:
        indexing.subscribe(partial(opener.publish, models, first))
    return OpenedModels(models, opener.stores[first])


def list_bundled() -> list[str]:
    """Return the names of the checkpoints that come with this package, the default first.

    A checkpoint other than the default is listed only if its folder exists.
    """
    first, *others = load.ALL_BUNDLED
    folder = load.BUNDLED_FOLDER.parent
    return [first, *(name for name in others if (folder / name).is_dir())]


def open_meanwhile(
    models: ModelPool,
    names: Sequence[str],
    store: Store,
    indexing: GalleryIndexing | None = None,
) -> threading.Thread:
    """Start a thread that opens further models and draws missing thumbnails; return the thread.

    The thread opens the models one by one, draws the thumbnails, and then compiles the rules for
    typed texts, so that no visitor waits for that. Models that are already open can be used in the
    meantime. If only a part of the gallery is indexed, the thread first waits until indexing ends.
    While it waits, it adds the newly indexed pictures to the searches. If a model cannot be opened,
    a warning is logged; a query that requests this model raises the same error.

    Args:
        models: The models.
        names: The names of the models to open; empty if all models are open.
        store: The gallery store whose thumbnails the page shows.
        indexing: The object that indexes the gallery; None if the gallery was complete at the
            start. If the page opened before the end of indexing, all models are opened, and `names`
            is ignored.
    """
    is_complete = indexing is None or not indexing.is_open

    def open_or_log(name: str) -> None:
        try:
            with models.using(name):
                pass
        except StoppedError:
            logger.info("The app ends before the model %s is opened.", name)
        except (DWCError, OSError) as error:
            logger.warning("The model %s cannot be opened: %s", name, error)

    def open_all() -> None:
        complete_store = store if is_complete or indexing is None else indexing.follow()
        if complete_store is None:
            return
        for name in names if is_complete else models.names:
            open_or_log(name)
        if indexing is not None and indexing.is_stopped:
            return
        try:
            draw_thumbnails(complete_store)
        except (DWCError, OSError, BrokenExecutor) as error:
            logger.warning("The gallery's pictures are drawn when they are shown: %s", error)
        compile_all()

    thread = threading.Thread(target=open_all, name="open-models", daemon=True)
    thread.start()
    return thread


def _open_or_withdraw(models: ModelPool, name: str) -> None:
    try:
        with models.using(name):
            return
    except (DWCError, OSError) as error:
        models.remove(name)
        logger.warning("The model %s is left out: %s", name, error)


def name_models(arguments: Sequence[str | None]) -> dict[str, str]:
    """Give every model a unique name, and return a dict from name to location.

    The name of a model in a folder is the last component of the folder's path. If several models
    have the same name, parent folders are added until the names differ. A name on the Hugging Face
    Hub is used unchanged.

    Args:
        arguments: Where each model is loaded from: a folder, a name on the Hub, or None for the
            bundled model. Repeated arguments count once.
    """
    distinct = list(dict.fromkeys(argument or load.BUNDLED for argument in arguments))
    names = [short_name(argument) for argument in distinct]
    depth = 1
    while len(set(names)) < len(names) and depth < max(len(Path(a).parts) for a in distinct):
        depth += 1
        names = [
            "/".join(Path(argument).parts[-depth:]) if names.count(name) > 1 else name
            for name, argument in zip(names, distinct, strict=True)
        ]
    return dict(zip(names, distinct, strict=True))


class _OpenedBefore(NamedTuple):
    """The data that are needed to load exactly the same model again after it was unloaded.

    If the model's files have changed in the meantime, the model is not loaded, because the stored
    vectors of the gallery were computed with the earlier files.

    Attributes:
        fingerprint: A hash of the checkpoint's content.
        revision: The commit on the Hugging Face Hub; None for a folder.
        store: The folder with the vectors that the model computed for the gallery.
    """

    fingerprint: str
    revision: str | None
    store: Path


class _ModelOpener:
    """Loader of the app's models for one gallery.

    When a model is opened for the first time, it computes the vectors of the gallery's pictures,
    except those that an earlier run of the app has stored. When the model is opened again, its
    vectors are read from the store.

    Attributes:
        stores: A dict with a single entry, from the first model's name to its gallery store. The
            page shows the images of this store. Empty until the first model is opened.
    """

    def __init__(
        self,
        sources: Mapping[str, str],
        gallery: str,
        show_progress: ShowProgress,
        index: str,
        indexing: GalleryIndexing | None,
    ) -> None:
        self.stores: dict[str, Store] = {}
        self._sources, self._gallery, self._show_progress = sources, gallery, show_progress
        self._index, self._indexing = index, indexing
        self._opened_before: dict[str, _OpenedBefore] = {}

    def open(self, name: str) -> Searcher:
        """Load the model of this name and its gallery vectors, and return a searcher.

        In a Hugging Face Space with ZeroGPU, the model's forward passes run on the GPU of ZeroGPU.
        """
        if name in self._opened_before:
            searcher = self._open_again(name, self._opened_before[name])
        else:
            searcher = self._open_first(name)
        zerogpu.borrow_gpu(searcher)
        return searcher

    def publish(self, models: ModelPool, name: str, store: Store) -> None:
        """Replace the first model's gallery store by one to which indexing has added pictures.

        The first model then searches these pictures, too. It is the default model of the app, and
        the gallery is indexed with it.

        Args:
            models: The app's models.
            name: The name of the first model, which must be open.
            store: The store with the added pictures.
        """
        with models.using(name) as searcher:
            grown = searcher.over(store)
        self.stores[name] = store
        models.replace(name, grown)
        if store.indexed_part is None:
            try:
                index = open_index(self._index, store)
            except (DWCError, OSError) as error:
                logger.warning("All pictures are compared with each query: %s", error)
            else:
                if index is not None:
                    models.replace(name, grown.over(store, index))

    def _open_first(self, name: str) -> Searcher:
        for page_store in self.stores.values():
            if (part := page_store.indexed_part) is not None:
                raise CheckpointError(
                    f"The model {name} is opened when the gallery is indexed to the end; "
                    f"{part.pictures:,} of {part.total:,} pictures are. Choose the first model."
                )
        checkpoint = load.load(self._sources[name])
        zerogpu.use_local_gpu(checkpoint.model)
        if self._indexing is not None and not self.stores:
            plan = plan_gallery(self._gallery, checkpoint)
            store = self._indexing.start(
                plan.path, partial(build_gallery, plan, checkpoint), self._show_progress(name)
            )
        else:
            with self._show_progress(name) as progress:
                if self._indexing is not None:
                    progress = self._indexing.stoppable(progress)
                store = open_gallery(self._gallery, checkpoint, progress)
        for page_store in self.stores.values():
            store = _match_images(store, page_store)
        index = open_index(self._index, store) if store.indexed_part is None else None
        searcher = Searcher(checkpoint, store, index)
        if not self.stores:
            self.stores[name] = store
        self._opened_before[name] = _OpenedBefore(
            checkpoint.fingerprint, checkpoint.revision, store.path
        )
        return searcher

    def _open_again(self, name: str, before: _OpenedBefore) -> Searcher:
        repository = self._sources[name].partition("@")[0]
        argument = self._sources[name] if before.revision is None else repository
        try:
            # Load the same commit as before, even if the branch has a newer one.
            checkpoint = load.load(argument, revision=before.revision)
            if checkpoint.fingerprint != before.fingerprint:
                raise CheckpointError(
                    f"it was {before.fingerprint} when the app started and is "
                    f"{checkpoint.fingerprint} now; the gallery was embedded by the former."
                )
            zerogpu.use_local_gpu(checkpoint.model)
            store = self.stores[name] if name in self.stores else Store.open(before.store)
            for page_store in self.stores.values():
                store = store.restrict(page_store.ids)
            return Searcher(checkpoint, store, open_index(self._index, store))
        except (DWCError, OSError) as error:
            raise CheckpointError(
                f"The model {name} cannot be loaded again: {error} Choose another model, or repair "
                "its files and start the app again."
            ) from error


def _match_images(store: Store, page_store: Store) -> Store:
    """Return a model's gallery store, restricted to the images that the page shows.

    Every model has its own gallery store, with the vectors that it computed for the gallery's
    images. A store also keeps images whose files are missing now (`Store.away`). The two stores may
    differ in these images, but in no others.

    Args:
        store: The model's store.
        page_store: The first model's store, whose images the page shows.

    Raises:
        StoreError: The stores also differ in images whose files exist, because the gallery changed
            after the first store was made.
    """
    if store.ids == page_store.ids and store.away == page_store.away:
        return store
    if set(store.ids) - store.away != set(page_store.ids) - page_store.away:
        raise StoreError(
            f"the gallery changed while it was embedded: {len(page_store):,} pictures for the "
            f"first model, {len(store):,} for this one, or others. Start the app again."
        )
    return store.restrict(page_store.ids)


def store_folder(fingerprint: str, source: Source) -> Path:
    """Return the folder for the vectors that one model computes for a gallery.

    The folder is `galleries/<gallery name>-<hash of the source>-<fingerprint>` in the cache folder.

    Args:
        fingerprint: The fingerprint (a hash of the content) of the model's checkpoint.
        source: The source of the gallery's images.
    """
    name = Path(source.argument).name or source.argument
    label = _NOT_IN_FILE_NAMES.sub("-", name)[:40].strip("-.")
    digest = hashlib.blake2b(repr(sorted(source.spec.items())).encode(), digest_size=4).hexdigest()
    return cache_folder() / "galleries" / f"{label or 'gallery'}-{digest}-{fingerprint}"


def open_gallery(argument: str, checkpoint: Checkpoint, progress: Progress | None = None) -> Store:
    """Build or update the store of a gallery for a model, and return the store.

    The store contains the vectors that the model computes for the gallery's images.

    Args:
        argument: The gallery: "catalogue" (the built-in drawings of garments), a folder, or a
            dataset on the Hugging Face Hub.
        checkpoint: The model that embeds the gallery.
        progress: Function that is called with the progress of embedding; None for none.

    Raises:
        ImageError: The gallery does not exist, or has no readable image.
        StoreError: The store cannot be written.
    """
    return build_gallery(plan_gallery(argument, checkpoint), checkpoint, progress)


class GalleryPlan(NamedTuple):
    """A gallery to embed: the source of its pictures, and the folder of its store.

    Attributes:
        argument: The gallery: "catalogue" (the built-in drawings of garments), a folder, or a
            dataset on the Hugging Face Hub.
        source: The source of the pictures.
        path: The folder of the store.
    """

    argument: str
    source: Source
    path: Path


def plan_gallery(argument: str, checkpoint: Checkpoint) -> GalleryPlan:
    """Return the source of a gallery's pictures, and the folder of the store for their vectors.

    Args:
        argument: The gallery: "catalogue" (the built-in drawings of garments), a folder, or a
            dataset on the Hugging Face Hub.
        checkpoint: The model that will embed the pictures.

    Raises:
        ImageError: The gallery does not exist, and there is no store from an earlier run.
    """
    source: Source
    try:
        source = open_source(argument)
        path = store_folder(checkpoint.fingerprint, source)
    except ImageError:  # for example, the drive is not mounted: use the vectors of an earlier start
        source = FolderSource(argument, may_be_away=True)
        path = store_folder(checkpoint.fingerprint, source)
        if not path.is_dir():
            raise
    if not path.is_dir():  # the gallery's folder may have been renamed: find its former store
        path = find_store(path.parent, checkpoint.fingerprint, source) or path
    return GalleryPlan(argument, source, path)


def build_gallery(
    plan: GalleryPlan, checkpoint: Checkpoint, progress: Progress | None = None
) -> Store:
    """Build or update a gallery's store (the vectors of its images), and return the store.

    Args:
        plan: The return value of `plan_gallery` for this model.
        checkpoint: The model.
        progress: Function that is called with the progress of embedding; None for none.

    Raises:
        ImageError: The gallery has no readable image.
        StoreError: The store cannot be written.
    """
    source = plan.source
    store = build_store(
        source,
        image_embedder(checkpoint),
        plan.path,
        model_identity(checkpoint),
        progress=progress,
        precomputed=_precomputed_vectors(checkpoint) if source.computed else None,
    )
    for image_id, reason in list(store.manifest.skipped.items())[:_SKIPPED_LOGGED]:
        logger.warning("%s was skipped: %s", image_id, reason)
    for remark in store.manifest.remarks():
        logger.warning("%s", remark)
    if len(store) == 0:
        raise ImageError(
            f"{plan.argument}: none of its {len(store.manifest.skipped)} pictures can be read."
        )
    return store


def _precomputed_vectors(checkpoint: Checkpoint) -> Mapping[str, PrecomputedVector]:
    if checkpoint.folder is None:
        return {}
    return load_precomputed(checkpoint.folder / GALLERY_VECTORS, checkpoint.fingerprint)


_STATIC = Path(__file__).parent / "static"
# In this order, since later style sheets override earlier ones.
_STYLES = (
    "style.css",
    "history.css",
    "comparison.css",
    "map.css",
    "weight_statistics.css",
    "study.css",
)
_SCRIPTS = (
    "embedding.js",
    "events.js",
    "page.js",
    "session.js",
    "results.js",
    "panels.js",
    "map_drawing.js",
    "map.js",
)

FONTS = ("Inter", "Helvetica Neue", "Arial", "sans-serif")
"""Fonts to use if they are installed on the visitor's machine; the page downloads none."""

MAX_UPLOAD_BYTES = 60 * 1024 * 1024
"""The maximum size of an uploaded file, in bytes."""

MAX_THREADS = 64
"""The maximum number of handlers that run at the same time.

It is larger than the number of searches and explanations that run at the same time, so that there
is always a thread for short events.
"""

MAX_SESSIONS = 256
"""The maximum number of visitors whose search results the server caches.

For further visitors, a search is repeated when its result is needed again. Gradio caches the values
of a visitor's page for an hour after the visitor left; its default maximum is 10,000 visitors.
"""


def make_theme() -> gr.themes.Base:
    """Return a theme that gives Gradio's components, such as buttons, the colors of the page."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.slate,
        neutral_hue=gr.themes.colors.slate,
        font=FONTS,
        font_mono=("ui-monospace", "monospace"),
    )


def read_style() -> str:
    """Return the page's style sheets, concatenated."""
    return "\n".join((_STATIC / name).read_text(encoding="utf-8") for name in _STYLES)


def make_head(max_upload_bytes: int) -> str:
    """Return the page's scripts as one HTML `script` element.

    Args:
        max_upload_bytes: The size in bytes above which the scripts refuse to upload a file.
    """
    script = "\n".join((_STATIC / name).read_text(encoding="utf-8") for name in _SCRIPTS)
    return f"<script>const DWC_MAX_UPLOAD_BYTES = {max_upload_bytes};\n{script}</script>"


def launch_options(images: GalleryImages, host: str | None, port: int | None) -> dict[str, Any]:
    """Return the keyword arguments for `gr.Blocks.launch`.

    Args:
        images: The gallery, whose thumbnails the page may serve.
        host: The host name or address to listen on. If None, Gradio takes it from the environment
            variable GRADIO_SERVER_NAME, which Hugging Face Spaces set, or else uses 127.0.0.1.
        port: The port to listen on. If None, Gradio takes it from the environment variable
            GRADIO_SERVER_PORT, or else uses the first free port from 7860.
    """
    return {
        "server_name": host,
        "server_port": port,
        "share": False,
        "allowed_paths": [str(images.folder)],
        "max_file_size": MAX_UPLOAD_BYTES,
        "max_threads": MAX_THREADS,
        "state_session_capacity": MAX_SESSIONS,
        "footer_links": ["api"],
        "ssr_mode": False,
        "app_kwargs": {
            "middleware": [
                Middleware(LimitRequests, limits=body_limits(MAX_UPLOAD_BYTES)),
                Middleware(TellWhenToRetry),
                Middleware(MarkBadInputs),
                Middleware(FetchNothing),
                Middleware(OnePage),
                Middleware(DrawThumbnails, images=images),
                Middleware(LargePictures, images=images),
            ],
            "routes": [
                Route("/gradio.js", _send_component_script),
                Route(f"/{INDEXING_ADDRESS}", partial(_send_indexing, images)),
            ],
            "exception_handlers": EXCEPTION_HANDLERS,
            "lifespan": expire_uploads,
        },
        "show_error": True,
        "theme": make_theme(),
        "css": read_style(),
        "head": make_head(MAX_UPLOAD_BYTES),
        "js": "() => window.dwc.start()",
    }


async def _send_indexing(images: GalleryImages, request: Request) -> JSONResponse:
    """Send the progress of indexing to a script of the web page."""
    answer = indexing_answer(images.indexing, images.noun)
    return JSONResponse(answer, headers={"Cache-Control": "no-store"})


def _send_component_script(request: Request) -> FileResponse:
    """Send the script that defines `<gradio-app>`, with which other websites embed the page.

    Gradio's package contains this script, but Gradio's server does not send it.
    """
    script = Path(gr.__file__).parent / "templates" / "frontend" / "gradio.js"
    return FileResponse(script, media_type="text/javascript")


def serve_thumbnails(images: GalleryImages) -> None:
    """Let Gradio serve the thumbnails directly from their folder, without a copy in its cache."""
    gr.set_static_paths([images.folder])
