"""Many people at once, and many searches in a row, at the real server on this machine.

The environment sets how much: DWC_BENCH_PEOPLE (100 at once), DWC_BENCH_ROUNDS (2),
DWC_BENCH_SEARCHES in a row (1,000), and for at most how many seconds these go on,
DWC_BENCH_SECONDS (no limit).
"""

import asyncio
import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import numpy as np
import psutil
import pytest

from dwc.checkpoints import load
from dwc.gallery.builder import build_store
from dwc.gallery.sources import FolderSource
from dwc.search.image_embedding import image_embedder, model_identity
from dwc.search.searcher import Searcher
from dwc.ui.blocks import SEARCHES_AT_ONCE
from tests.bench.measuring import Row, check_rows, in_turns, tell
from tests.bench.people import WORDS, connect, draw_uploads, time_lone_searches, visit_together
from tests.search.tiny import write_tiny_checkpoint
from tests.ui.live import draw_gallery, serve
from tests.visitors import visitors

pytestmark = pytest.mark.bench

PEOPLE = int(os.environ.get("DWC_BENCH_PEOPLE", "100"))
ROUNDS = int(os.environ.get("DWC_BENCH_ROUNDS", "2"))
IN_A_ROW = int(os.environ.get("DWC_BENCH_SEARCHES", "1000"))
IN_A_ROW_SECONDS = float(os.environ.get("DWC_BENCH_SECONDS", "inf"))
FIRST_SEARCHES = 5000  # after which the caches of pictures and queries are full
SHARE_OF_TURNS = 0.6  # of the time in which as many lone searches would follow each other
PICTURES = 60
WAITING = 32
SPEED_UP = 2.5
GROWTH = {"many": 1.10, "in a row": 1.05}
UNITS = {"memory": 1e6, "files": 1, "threads": 1}  # memory in MB


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
        port = int(address.rstrip("/").rpartition(":")[2])
        # The process that the test started may only wait for another, see `fork_server.py`.
        (pid,) = {
            connection.pid
            for connection in psutil.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
        }
        self._process = psutil.Process(pid)

    def measure(self):
        return {
            "memory": self._process.memory_info().rss,
            "files": self._process.num_fds(),
            "threads": self._process.num_threads(),
        }


def test_many_people_at_once_lose_no_search_and_wait_less_than_in_turns(address, tmp_path):
    use = Use(address)

    async def run():
        async with connect(address) as client:
            lone, *people = await visitors(client, PEOPLE + 1)
            alone = await time_lone_searches(lone, tmp_path)
            rounds = []
            for turn in range(1 + ROUNDS):
                log, refused = await visit_together(people, tmp_path, seed=2 + turn)
                rounds.append((log, refused, use.measure()))
            return alone, rounds

    lone, ((_, _, before), *rounds) = asyncio.run(run())
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


async def search_on_the_page(client, folder):
    """Search as one visitor does, who uploads pictures and changes the words each time."""
    (visitor,) = await visitors(client, 1)
    await visitor.open()
    files = draw_uploads(folder, 50, seed=99)
    for number in count():
        if number % 100 == 0:  # uploads are deleted after some minutes
            uploads = [await visitor.upload(file) for file in files]
        visitor.fill(reference=uploads[number % len(uploads)])
        visitor.fill(words=f"{WORDS[number % len(WORDS)]} {number}")
        assert await visitor.search()
        assert visitor.screen["request"]["words"] == visitor.values["words"]
        yield


async def search_as_a_program(client, folder):
    """Search by words, by a picture of the gallery and words, and by a new picture and words."""
    ids = (await client.get("api/gallery")).json()["ids"]
    for number in count():
        # The small model knows a word of each of these.
        fields = {"text": f"{WORDS[number // 3 % 3]} {number}"}
        files = None
        if number % 3 == 1:
            fields["reference_id"] = ids[number % len(ids)]
        elif number % 3 == 2:
            (file,) = draw_uploads(folder, 1, seed=1000 + number)
            files = {"reference": file.read_bytes()}
            file.unlink()
        send = {"data": fields, "files": files} if files else {"json": fields}
        response = await client.post("api/search", **send)
        assert response.status_code == 200, response.text
        assert response.json()["results"]
        yield


async def repeat(searches, use):
    """Search as often as the environment says; what the server takes, by the number of searches."""
    first = min(FIRST_SEARCHES, IN_A_ROW // 5)
    samples = {}
    end = time.monotonic() + IN_A_ROW_SECONDS
    number = 0
    async for _ in searches:
        number += 1
        is_last = number == IN_A_ROW or (number > first and time.monotonic() > end)
        if number == first or is_last or (number > first and number % (IN_A_ROW // 20) == 0):
            taken = samples[number] = use.measure()
            sample = ", ".join(f"{name} {taken[name] / unit:,.0f}" for name, unit in UNITS.items())
            print(f"\n{number:,} searches: {sample}", end="", flush=True)
        if is_last:
            break
    return samples


@pytest.mark.parametrize(
    ("name", "model", "search"),
    [
        ("page, small model", "small_address", search_on_the_page),
        ("API, small model", "small_address", search_as_a_program),
        ("API", "address", search_as_a_program),
    ],
    ids=["page", "API of a small model", "API"],
)
def test_many_searches_in_a_row_take_no_more_of_the_machine(name, model, search, request, tmp_path):
    address = request.getfixturevalue(model)
    use = Use(address)

    async def run():
        async with connect(address) as client:
            return await repeat(search(client, tmp_path), use)

    (first, before), *_, (last, after) = asyncio.run(run()).items()
    check_rows(
        f"in a row, {name}",
        [
            Row(
                f"{resource} after {last:,} searches in a row, {name}",
                after[resource] / unit,
                "MB" if resource == "memory" else "",
                f"after {first:,}",
                before[resource] / unit,
                GROWTH["in a row"],
            )
            for resource, unit in UNITS.items()
        ],
    )
