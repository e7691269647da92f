"""Many people at once, and many searches in a row, at the real server on this machine.

The environment sets how much: DWC_BENCH_PEOPLE (100 at once), DWC_BENCH_ROUNDS (2),
DWC_BENCH_SEARCHES in a row (1,000), and for at most how many seconds these go on,
DWC_BENCH_SECONDS (no limit).
"""

import asyncio
import os
import re
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle

import httpx
import numpy as np
import psutil
import pytest
from PIL import Image

from dwc.checkpoints import load
from dwc.gallery.builder import build_store
from dwc.gallery.sources import FolderSource
from dwc.search.query import image_embedder, model_identity
from dwc.search.searcher import Searcher
from dwc.ui.blocks import SEARCHES_AT_ONCE
from tests.bench.measuring import in_turns, tell
from tests.search.tiny import write_tiny_checkpoint
from tests.ui.live import draw_gallery, serve
from tests.visitors import Refused, timed, visitors

pytestmark = pytest.mark.bench

PEOPLE = int(os.environ.get("DWC_BENCH_PEOPLE", "100"))
ROUNDS = int(os.environ.get("DWC_BENCH_ROUNDS", "2"))
IN_A_ROW = int(os.environ.get("DWC_BENCH_SEARCHES", "1000"))
IN_A_ROW_SECONDS = float(os.environ.get("DWC_BENCH_SECONDS", "inf"))
FIRST_SEARCHES = 500  # after which the server has allocated what it goes on using
LONE_SEARCHES = 15
SHARE_OF_TURNS = 0.6  # of the time in which as many lone searches would follow each other
PICTURES = 60
WAITING = 32
SPEED_UP = 2.5
GROWTH = {"many": 1.10, "in a row": 1.05}
UNITS = {"memory": 1e6, "files": 1, "threads": 1}  # memory in MB
WORDS = ("is blue", "is red with long sleeves", "is shorter", "has stripes", "is plain and darker")
TIMEOUT = 600


def draw_uploads(folder, count, seed=0):
    """Pictures that no one has uploaded before."""
    rng = np.random.default_rng(seed)
    files = [folder / f"{seed}-{number}.png" for number in range(count)]
    for file in files:
        coarse = rng.integers(0, 255, (20, 16, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((320, 400)).save(file)
    return files


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many") / "gallery"
    folder.mkdir()
    return draw_gallery(folder, PICTURES)


@pytest.fixture
def address(checkpoint_folder, gallery, tmp_path):
    with serve(checkpoint_folder, gallery, tmp_path, threads=None) as address:
        yield address


class Use:
    """What the server's process takes of this machine."""

    def __init__(self, address):
        port = address.rstrip("/").rpartition(":")[2]
        children = psutil.Process().children()
        (self._process,) = (child for child in children if port in child.cmdline())

    def measure(self):
        return {
            "memory": self._process.memory_info().rss,
            "files": self._process.num_fds(),
            "threads": self._process.num_threads(),
        }


@contextmanager
def connections(address):
    """Settings of a client that opens as many connections as there are people."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    yield {"base_url": address, "timeout": TIMEOUT, "limits": limits}


class Person:
    """Someone who uploads, searches, moves the slider three times, and goes on from a result."""

    def __init__(self, visitor, log):
        self.visitor, self.log = visitor, log
        self.refused = 0

    async def visit(self, file, words):
        assert await self.visitor.open()
        await self.visitor.upload(file)
        await self.search(words)
        explained = asyncio.create_task(self.visitor.explain())
        for position in (0.2, 0.8, 0.5):
            moved, seconds = await timed(self.visitor.send("shift", "lean", position=position))
            assert moved
            self.log.light.append(seconds)
        ids = re.findall(r'class="card" data-id="([^"]+)"', self.visitor.values["results"])
        assert len(ids) == 12
        followed, seconds = await timed(self.visitor.send("results", "follow", id=ids[1]))
        assert followed
        self.log.light.append(seconds)
        await explained
        await self.search(words)
        await self.visitor.explain()

    async def search(self, words):
        self.visitor.fill(words=words)
        clock = asyncio.get_running_loop().time
        sent = clock()
        while True:
            try:
                assert await self.visitor.search()
                break
            except Refused as refused:
                self.refused += 1
                await asyncio.sleep(int(refused.retry_after))
        assert self.visitor.screen["request"]["words"] == words
        self.log.searches.append((sent, clock()))


class Log:
    """When searches were sent and answered, and how long light actions took."""

    def __init__(self):
        self.searches, self.light = [], []

    @property
    def seconds(self):
        return [answered - sent for sent, answered in self.searches]

    def overtakers(self):
        """The most searches that were sent after another and answered before it."""
        ordered = sorted(self.searches)
        return max(
            sum(answered < own for _, answered in ordered[number + 1 :])
            for number, (_, own) in enumerate(ordered)
        )


def test_many_people_at_once_lose_no_search_and_wait_less_than_in_turns(address, tmp_path):
    use = Use(address)

    async def run(options):
        async with httpx.AsyncClient(**options) as client:
            lone, *people = await visitors(client, PEOPLE + 1)
            await lone.open()
            alone = []
            for number, file in enumerate(draw_uploads(tmp_path, LONE_SEARCHES, seed=1)):
                await lone.upload(file)
                lone.fill(words=f"{WORDS[number % len(WORDS)]} {number}")
                found, seconds = await timed(lone.search())
                assert found
                alone.append(seconds)
                await lone.explain()
            rounds = []
            for turn in range(1 + ROUNDS):
                files = draw_uploads(tmp_path, PEOPLE, seed=2 + turn)
                log = Log()
                present = [Person(visitor, log) for visitor in people]
                words = cycle(WORDS)
                await asyncio.gather(
                    *(
                        person.visit(file, f"{next(words)} {number}")
                        for number, (person, file) in enumerate(zip(present, files, strict=True))
                    )
                )
                assert len(log.searches) == 2 * PEOPLE
                rounds.append((log, sum(person.refused for person in present), use.measure()))
            return statistics.median(alone[2:]), rounds

    with connections(address) as options:
        lone, ((_, _, before), *rounds) = asyncio.run(run(options))
    seconds = [second for log, _, _ in rounds for second in log.seconds]
    light = [second for log, _, _ in rounds for second in log.light]
    late = float(np.percentile(seconds, 95))
    late_light = float(np.percentile(light, 95))
    share = late / (PEOPLE * lone)
    overtakers = max(log.overtakers() for log, _, _ in rounds)
    refused = sum(refused for _, refused, _ in rounds)
    growth = rounds[-1][2]["memory"] / before["memory"]
    tell(
        f"search of {PEOPLE} at once, 95th percentile by {PEOPLE} lone ones of {lone * 1e3:.0f} ms",
        f"{late:.2f} s, {share:.2f}",
        f"at most {SHARE_OF_TURNS}",
    )
    tell(
        "  slider and going on from a result meanwhile, 95th percentile",
        f"{late_light:.2f} s",
        f"at most half a search's median, {statistics.median(seconds) / 2:.2f} s",
    )
    tell("  searches that overtake one", f"{overtakers}", f"at most {2 * SEARCHES_AT_ONCE}")
    tell("  refused, then answered", f"{refused}", "")
    tell("  memory afterwards", f"{growth:.3f} times", f"at most {GROWTH['many']}")
    assert share <= SHARE_OF_TURNS
    assert late_light <= statistics.median(seconds) / 2
    assert overtakers <= 2 * SEARCHES_AT_ONCE
    assert growth <= GROWTH["many"]


def test_waiting_searches_are_faster_together(checkpoint_folder, gallery, cache, tmp_path):
    loaded = load.load(checkpoint_folder)
    store = build_store(
        FolderSource(gallery), image_embedder(loaded), cache / "waiting", model_identity(loaded)
    )
    searcher = Searcher(loaded, store)
    seeds = iter(range(100))

    def questions():
        files = draw_uploads(tmp_path, WAITING, seed=100 + next(seeds))
        return [
            (file, f"{WORDS[number % len(WORDS)]} {number}") for number, file in enumerate(files)
        ]

    def together():
        list(pool.map(lambda question: searcher.search(*question), batches.pop()))

    def one_by_one():
        for question in batches.pop():
            searcher.search(*question)

    rounds = 5
    batches = [questions() for _ in range(2 * (rounds + 1))]
    with ThreadPoolExecutor(WAITING) as pool:
        compared = in_turns(together, one_by_one, rounds)
    tell(
        f"{WAITING} searches that wait at the same moment, by as many one by one",
        f"{compared.ours_ms:.0f} ms, {1 / compared.ratio:.1f} times as fast",
        f"at least {SPEED_UP}",
    )
    assert 1 / compared.ratio >= SPEED_UP


@pytest.fixture
def small_address(gallery, tmp_path):
    """A server with a small model: what may grow is around the model, and needs many searches."""
    with serve(write_tiny_checkpoint(tmp_path / "model"), gallery, tmp_path) as address:
        yield address


def test_many_searches_in_a_row_take_no_more_of_the_machine(small_address, tmp_path):
    use = Use(small_address)
    files = draw_uploads(tmp_path, 50, seed=99)

    async def run(options):
        async with httpx.AsyncClient(**options) as client:
            (visitor,) = await visitors(client, 1)
            await visitor.open()
            before = None
            end = time.monotonic() + IN_A_ROW_SECONDS
            for number in range(IN_A_ROW):
                if number == min(FIRST_SEARCHES, IN_A_ROW // 5):
                    before = use.measure()
                elif before and time.monotonic() > end:
                    break
                if number % 100 == 0:  # uploads are deleted after some minutes
                    uploads = [await visitor.upload(file) for file in files]
                visitor.fill(reference=uploads[number % len(uploads)])
                visitor.fill(words=f"{WORDS[number % len(WORDS)]} {number}")
                assert await visitor.search()
                assert visitor.screen["request"]["words"] == visitor.values["words"]
            return number + 1, before, use.measure()

    with connections(small_address) as options:
        searches, before, after = asyncio.run(run(options))
    for name, unit in UNITS.items():
        start, end = before[name] / unit, after[name] / unit
        tell(
            f"{name} before and after {searches:,} searches in a row",
            f"{start:,.0f} and {end:,.0f}, {end / start:.3f} times",
            f"at most {GROWTH['in a row']}",
        )
    for name, value in after.items():
        assert value <= GROWTH["in a row"] * before[name], name
