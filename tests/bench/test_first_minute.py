"""From the start of the app to the hundredth visitor: one table, also written as JSON.

Each number stands beside another of the same run: beside what has a limit, and beside an earlier
version, if DWC_BENCH_BASELINE names its checkout (`git worktree add FOLDER 350f231`). Both versions
serve their own bundled model over the same small gallery, and take turns.

DWC_BENCH_TABLE names the JSON file to write, DWC_BENCH_CROWDS how many people there are at once,
such as "1,8,32,100", DWC_BENCH_ROUNDS how often they come at least (2), and DWC_BENCH_STARTS how
often the app is started (3).
"""

import asyncio
import os
import statistics
import subprocess
import sys
import time
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from itertools import count
from pathlib import Path
from typing import NamedTuple

import httpx
import numpy as np
import pytest

from tests.bench.measuring import Row, check_rows, medians_in_turns
from tests.bench.people import TIMEOUT, WORDS, connect, time_lone_searches, visit_together
from tests.browser.conftest import browser  # noqa: F401  (a fixture)
from tests.browser.leaning import follow_the_hand
from tests.ui.live import ROOT, draw_gallery, serve
from tests.visitors import visitors

pytestmark = pytest.mark.bench

CROWDS = tuple(map(int, os.environ.get("DWC_BENCH_CROWDS", "1,8,32,100").split(",")))
ROUNDS = int(os.environ.get("DWC_BENCH_ROUNDS", "2"))
STARTS = int(os.environ.get("DWC_BENCH_STARTS", "3"))
PAGES = 5
LOST_SECONDS = 240  # after which a search counts as lost; an earlier version may lose some
PICTURES = 60
SEARCHES = 10
WARM_RATIO = 1.25  # of the bare imports
COLD_RATIO = 1.2  # of a warm start
SHARE_OF_TURNS = 0.6  # of the time in which as many lone searches would follow each other
FOLLOWS_MS = 150
CATALOGUE = Path("catalogue")  # the default gallery
LIBRARIES = "import gradio, torch, transformers"

_FIRST_PICTURE = """
() => {
    const picture = document.querySelector('#results .card img');
    return Boolean(picture && picture.complete && picture.naturalWidth);
}
"""
_IS_READY = """
() => document.documentElement.lang === 'en'
    && (!document.querySelector('#visit') || history.state?.screen != null)
"""
# The cards stay the same elements, with another content.
_SEARCH = """
async () => {
    const answer = () => [
        document.querySelector('#weights').textContent,
        ...[...document.querySelectorAll('#results .card')].map((card) => card.dataset.id),
    ].join();
    const before = answer();
    const began = performance.now();
    document.querySelector('#search').click();
    while (answer() === before) {
        await new Promise(requestAnimationFrame);
        if (performance.now() - began > 60000) throw new Error('the answer did not change');
    }
    return performance.now() - began;
}
"""


class Version(NamedTuple):
    """A checkout of this project, and the folder of its caches."""

    name: str
    root: Path
    cache: Path

    def serve(self, gallery):
        """Serve its bundled model over a gallery."""
        model = self.root / "assets" / "checkpoints" / "dwc-catalogue"
        return serve(model, gallery, self.cache, threads=None, root=self.root)


@pytest.fixture(scope="module")
def versions(tmp_path_factory):
    """This version, and the earlier one if there is one."""
    roots = {"now": ROOT}
    if root := os.environ.get("DWC_BENCH_BASELINE"):
        command = ["git", "-C", root, "rev-parse", "--short", "HEAD"]
        name = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        roots[name] = Path(root)
    return [Version(name, root, tmp_path_factory.mktemp(name)) for name, root in roots.items()]


@pytest.fixture(scope="module")
def addresses(versions, tmp_path_factory):
    """The addresses of all versions, which run at the same time."""
    gallery = draw_gallery(tmp_path_factory.mktemp("gallery"), PICTURES)
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        yield {version.name: stack.enter_context(version.serve(gallery)) for version in versions}


def compare(what, unit, values, limits=()):
    """The rows of a number: beside each (name, reference, limit), and beside the earlier version.

    Args:
        what: what was measured.
        unit: its unit, see `Row`.
        values: the number by version, this one first.
        limits: what else this version's number is compared with.
    """
    ours, *earlier = values.values()
    rows = [Row(what, ours, unit, *limit) for limit in limits]
    names = list(values)[1:]
    return rows + [
        Row(what, ours, unit, f"in {name}", other, 1.0)
        for name, other in zip(names, earlier, strict=True)
    ]


@pytest.mark.parametrize("people", CROWDS)
def test_people_at_once(people, addresses, tmp_path):
    seeds = count(1000 * people)
    lone, logs = {}, {name: [] for name in addresses}
    this = next(iter(addresses))

    async def run():
        async with AsyncExitStack() as stack:
            clients = {
                name: await stack.enter_async_context(connect(address))
                for name, address in addresses.items()
            }
            for name, client in clients.items():
                (visitor,) = await visitors(client, 1)
                lone[name] = await time_lone_searches(visitor, tmp_path, seed=next(seeds))
            for turn in range(1 + max(ROUNDS, 24 // people)):
                for name, client in list(clients.items()):
                    crowd = await visitors(client, people)
                    visit = visit_together(crowd, tmp_path, next(seeds))
                    try:
                        log, _ = await asyncio.wait_for(visit, LOST_SECONDS)
                    except (AssertionError, asyncio.TimeoutError):
                        if name == this:
                            raise
                        print(f"\n{name} lost searches of {people} people", flush=True)
                        del clients[name], logs[name]
                        continue
                    if turn:
                        logs[name].append(log)

    asyncio.run(run())
    late, light, medians = {}, {}, {}
    for name, taken in logs.items():  # a disturbed round does not count more than another
        late[name] = statistics.median(np.percentile(log.seconds, 95) for log in taken)
        light[name] = statistics.median(np.percentile(log.light, 95) for log in taken)
        medians[name] = statistics.median(second for log in taken for second in log.seconds)
    crowd = "1 person" if people == 1 else f"{people} people"
    turns = [(f"{people} lone searches", people * lone["now"], SHARE_OF_TURNS)]
    half = [("half the median of a search", medians["now"] / 2, 1.0)]
    check_rows(
        crowd,
        compare(f"search of {crowd}, 95th percentile", "s", late, turns[: people > 1])
        + compare(f"slider of {crowd}, 95th percentile", "s", light, half[: people > 1]),
    )


@pytest.mark.browser
def test_the_page_in_a_browser(browser, addresses):  # noqa: F811
    opened, pages = {}, {}
    numbers = count()

    def open_page(name):
        if name in pages:
            pages.pop(name).close()
        page = pages[name] = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(TIMEOUT * 1000)
        page.goto(addresses[name], wait_until="commit")
        page.wait_for_function(_FIRST_PICTURE)

    def search(name):
        page = pages[name]
        number = next(numbers)
        page.fill("#words textarea", f"{WORDS[number // len(addresses) % len(WORDS)]} {number}")
        return page.evaluate(_SEARCH)

    works = [partial(open_page, name) for name in addresses]
    opened = dict(zip(addresses, medians_in_turns(works, PAGES), strict=True))
    for page in pages.values():
        page.wait_for_function(_IS_READY)
        page.wait_for_timeout(3000)  # what the page fills after its opening
    found = {name: [] for name in addresses}
    for _ in range(SEARCHES):
        for name, taken in found.items():
            taken.append(search(name))
            pages[name].wait_for_timeout(1500)  # its explanations
    searches = {name: statistics.median(taken[2:]) for name, taken in found.items()}
    follows = {name: follow_the_hand(page) for name, page in pages.items()}
    for page in pages.values():
        page.close()
    check_rows(
        "page",
        compare("page open to its first picture", "ms", opened)
        + compare("search on the page, to its cards", "ms", searches)
        + compare("slider to the new order", "ms", follows, [("the limit", FOLLOWS_MS, 1.0)]),
    )


def test_starts(tmp_path, monkeypatch):
    """To the answer of a first search by words; with what an earlier run cached, and without."""
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    numbers = count()
    warm_cache = tmp_path / "warm"
    warm_cache.mkdir()

    def start(cache):
        with Version("now", ROOT, cache).serve(CATALOGUE) as address:
            sent = httpx.post(
                f"{address}gradio_api/call/search", json={"data": [None, "in blue", 12, 0]}
            )
            event = sent.json()["event_id"]
            answer = httpx.get(f"{address}gradio_api/call/search/{event}", timeout=60).text
            assert "event: complete" in answer

    def start_cold():
        cache = tmp_path / f"{next(numbers)}"
        cache.mkdir()
        start(cache)

    def import_libraries():
        subprocess.run([sys.executable, "-c", LIBRARIES], check=True)

    with Version("now", ROOT, warm_cache).serve(CATALOGUE):
        _wait_for_thumbnails(warm_cache)
    works = (import_libraries, partial(start, warm_cache), start_cold)
    imports, warm, cold = (ms / 1e3 for ms in medians_in_turns(works, STARTS))
    check_rows(
        "start",
        [
            Row("start, to the first answer", warm, "s", "bare imports", imports, WARM_RATIO),
            Row("start with an empty cache", cold, "s", "start", warm, COLD_RATIO),
        ],
    )


def _wait_for_thumbnails(cache):
    """Wait until the app has drawn all thumbnails, which it does after its start."""
    counts = [0]
    while counts[-1] == 0 or counts[-1] != counts[-2]:
        time.sleep(5)
        counts.append(sum(1 for _ in cache.rglob("*.webp")))
