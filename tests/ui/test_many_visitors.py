"""Many visitors at once, at a real server in this process whose model waits for the test."""

import asyncio
import re
import threading
from contextlib import asynccontextmanager
from typing import NamedTuple

import gradio as gr
import httpx
import pytest
import torch
from PIL import Image

from dwc.search.model_pool import ModelPool
from dwc.search.query_batching import MODEL_QUEUE
from dwc.ui.blocks import SEARCHES_AT_ONCE, build_page
from dwc.ui.concurrency import QUEUE_LENGTH
from dwc.ui.gallery_images import StoreImages
from dwc.ui.panels.examples import choose_examples
from dwc.ui.startup import launch_options, open_models, serve_thumbnails
from tests.search.tiny import write_tiny_checkpoint
from tests.ui.live import draw_gallery, free_port
from tests.ui.test_startup import Counts
from tests.visitors import Refused, run_in_thread, visitors

SECONDS = 120  # at most, on a busy machine
PEOPLE = 8


class HeldModel:
    """Runs the model's passes, but while `hold` is called, only when `release` is."""

    def __init__(self, run_model):
        self._run_model = run_model
        self.queries, self.images = [], []
        self.began, self._goes_on = threading.Event(), threading.Event()
        self.release()

    def __call__(self, inputs):
        self.began.set()
        assert self._goes_on.wait(SECONDS)
        outputs = self._run_model(inputs)
        self.queries.append(len(outputs.composed.embedding))
        self.images.append(0 if inputs.pixel_values is None else len(inputs.pixel_values))
        return outputs

    def hold(self):
        self.queries, self.images = [], []
        self._goes_on.clear()
        self.began.clear()

    def release(self):
        self._goes_on.set()


class Served(NamedTuple):
    """A page that is served, and what is behind it."""

    page: gr.Blocks
    address: str
    models: ModelPool
    model: HeldModel


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    place = tmp_path_factory.mktemp("many")
    torch.set_num_threads(1)
    (place / "gallery").mkdir()
    gallery = draw_gallery(place / "gallery", 30)
    folder = write_tiny_checkpoint(place / "model")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DWC_CACHE", str(place / "cache"))
        patch.setenv("GRADIO_TEMP_DIR", str(place / "uploads"))
        models, store = open_models([str(folder)], str(gallery), Counts().show)
        images = StoreImages(store)
        serve_thumbnails(images)
        page = build_page(models, images, choose_examples(images))
        port = free_port()
        page.launch(
            prevent_thread_lock=True, quiet=True, **launch_options(images, "127.0.0.1", port)
        )
        with models.using() as searcher:
            model = searcher.compose.run_model = HeldModel(searcher.compose.run_model)
            yield Served(page, f"http://127.0.0.1:{port}/", models, model)
        page.close(verbose=False)
    gr.set_static_paths([])


@pytest.fixture
def one_at_a_time(served):
    """Only one search at once is answered; the queue is set to a length."""
    queue = served.page._queue
    limits = {fn: fn.concurrency_limit for fn in served.page.fns.values()}
    lane = queue.event_queue_per_concurrency_id.get("search")
    for fn in limits:
        if fn.concurrency_id == "search":
            fn.concurrency_limit = 1
    if lane is not None:
        lane.concurrency_limit = 1
    yield
    for fn, limit in limits.items():
        fn.concurrency_limit = limit
    queue.event_queue_per_concurrency_id["search"].concurrency_limit = SEARCHES_AT_ONCE
    queue.max_size = QUEUE_LENGTH


@pytest.fixture(scope="module")
def uploads(tmp_path_factory):
    """Pictures that are not in the gallery."""
    folder = tmp_path_factory.mktemp("uploads")
    files = [folder / f"{number}.png" for number in range(PEOPLE + 1)]
    for number, file in enumerate(files):
        Image.new("RGB", (40, 50), (250 - 25 * number, 20 * number, 90)).save(file)
    return files


@asynccontextmanager
async def connected(served):
    """A client of the page, and the model, which goes on in the end."""
    try:
        async with httpx.AsyncClient(base_url=served.address, timeout=SECONDS) as client:
            yield client, served.model
    finally:
        served.model.release()


async def until(condition, *searches):
    """Wait for a condition, while none of these searches has ended."""
    for _ in range(100 * SECONDS):
        if condition():
            return
        assert not any(search.done() for search in searches), "a search ended before"
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to this")


async def queued(served, searches):
    """Wait until the first search is with the model, and the others behind it in the queue."""
    await until(served.model.began.is_set, *searches)
    await until(lambda: len(served.page._queue) == len(searches) - 1, *searches)


def cards(visitor):
    return re.findall(r'class="card" data-id="([^"]+)"', visitor.values["results"])


async def start_searches(model, people, files):
    """All search at once, each with a picture of their own, while the model is held."""
    for person, file in zip(people, files, strict=True):
        await person.upload(file)
        person.fill(words=f"is red {file.stem}")
    model.hold()
    searches = []
    for number, person in enumerate(people):
        searches.append(asyncio.create_task(person.search()))
        # The first is in a pass of its own, which the others wait for.
        await until(model.began.is_set, *searches)
        await until(lambda number=number: len(MODEL_QUEUE) == number, *searches)
    return searches


@pytest.mark.slow
def test_light_actions_pass_while_searches_wait_and_these_share_a_pass(served, uploads):
    async def run():
        async with connected(served) as (client, model):
            reader, newcomer, *people = await visitors(client, PEOPLE + 2)
            assert await reader.open()
            await reader.upload(uploads[-1])
            reader.fill(words="is blue")
            assert await reader.search()
            await reader.explain()
            learned = cards(reader)
            searches = await start_searches(model, people, uploads[:PEOPLE])
            assert await newcomer.open()
            assert newcomer.screen["request"]["words"]
            assert await reader.send("shift", "lean", position=0.9)
            assert reader.screen["request"]["shift"] > 0
            assert await reader.send("results", "why", id=learned[3])
            assert reader.screen["request"]["selected"] == learned[3]
            assert await reader.send("results", "more")
            assert len(cards(reader)) == 24
            assert await reader.send("results", "follow", id=learned[1])
            step = reader.values["history"]["steps"][-1]["number"]
            assert await reader.send("trail", "back", step=step)
            assert cards(reader) == learned
            assert not any(search.done() for search in searches)
            model.release()
            assert all(await asyncio.gather(*searches))
            assert model.queries == model.images == [1, PEOPLE - 1]
            return [cards(person) for person in people], people

    found, people = run_in_thread(run())
    for ids, person in zip(found, people, strict=True):
        words = person.screen["request"]["words"]
        with (
            Image.open(uploads[int(words.split()[-1])]) as picture,
            served.models.using() as searcher,
        ):
            alone = searcher.search(picture.convert("RGB"), words, k=len(ids))
        assert ids == [hit.id for hit in alone.hits]


@pytest.mark.slow
def test_who_waits_sees_their_place_and_is_served_in_turn(served, uploads, one_at_a_time):
    async def run():
        async with connected(served) as (client, model):
            people = await visitors(client, PEOPLE)
            ended = []

            async def search(person, file):
                assert await person.search()
                ended.append(file)

            for person, file in zip(people, uploads, strict=False):
                await person.upload(file)
                person.fill(words=f"is long {file.stem}")
            model.hold()
            searches = []
            for person, file in zip(people, uploads, strict=False):
                searches.append(asyncio.create_task(search(person, file)))
                await queued(served, searches)
            model.release()
            await asyncio.gather(*searches)
            assert ended == uploads[:PEOPLE]
            last = people[-1].places
            assert last[0] == (PEOPLE - 1, PEOPLE - 1)
            assert [place for place, _ in last] == sorted((p for p, _ in last), reverse=True)
            assert last[-1] == (1, 1)

    run_in_thread(run())


@pytest.mark.slow
def test_beyond_the_limit_the_answer_says_when_to_ask_again(served, uploads, one_at_a_time):
    served.page._queue.max_size = 2

    async def run():
        async with connected(served) as (client, model):
            *people, late = await visitors(client, 4)
            for person, file in zip((*people, late), uploads, strict=False):
                await person.upload(file)
                person.fill(words=f"has a v-neck {file.stem}")
            model.hold()
            searches = []
            for person in people:
                searches.append(asyncio.create_task(person.search()))
                await queued(served, searches)
            with pytest.raises(Refused) as refused:
                await late.search()
            assert 1 <= int(refused.value.retry_after) <= 60
            assert await late.ask_when() == int(refused.value.retry_after)
            model.release()
            assert all(await asyncio.gather(*searches))
            assert await late.search()

    run_in_thread(run())


@pytest.mark.slow
def test_the_same_picture_of_two_visitors_is_encoded_once_and_shown_to_each(served, uploads):
    async def run():
        async with connected(served) as (client, model):
            one, other = await visitors(client, 2)
            model.hold()
            model.release()
            for person, words in ((one, "is shorter"), (other, "is red"), (one, "is red")):
                await person.upload(uploads[5])
                person.fill(words=words)
                assert await person.search()
                assert person.screen["request"]["words"] == words
            assert sum(model.images) <= 1
            assert sum(model.queries) == 2
            assert cards(one) == cards(other)

    run_in_thread(run())
