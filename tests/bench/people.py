"""People who use the page at the same time, and how long they wait."""

import asyncio
import re
import statistics
from itertools import cycle

import httpx
import numpy as np
from PIL import Image

from tests.visitors import Refused, timed

WORDS = ("is blue", "is red with long sleeves", "is shorter", "has stripes", "is plain and darker")
TIMEOUT = 600
RETRY_SECONDS = 5  # if the server does not say when to try again
LONE_SEARCHES = 15


def connect(address):
    """A client that opens as many connections as there are people."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    return httpx.AsyncClient(base_url=address, timeout=TIMEOUT, limits=limits)


def draw_uploads(folder, count, seed=0):
    """Pictures that no one has uploaded before."""
    rng = np.random.default_rng(seed)
    files = [folder / f"{seed}-{number}.png" for number in range(count)]
    for file in files:
        coarse = rng.integers(0, 255, (20, 16, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((320, 400)).save(file, compress_level=1)
    return files


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
                await asyncio.sleep(int(refused.retry_after or RETRY_SECONDS))
        if "screen" in self.visitor.values:  # not in the earliest version that is compared
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


async def time_lone_searches(visitor, folder, seed=1):
    """Search with new pictures, one search after the other; the median in seconds."""
    await visitor.open()
    alone = []
    for number, file in enumerate(draw_uploads(folder, LONE_SEARCHES, seed)):
        await visitor.upload(file)
        visitor.fill(words=f"{WORDS[number % len(WORDS)]} {number}")
        found, seconds = await timed(visitor.search())
        assert found
        alone.append(seconds)
        await visitor.explain()
    return statistics.median(alone[2:])


async def visit_together(visitors, folder, seed):
    """Let visitors use the page at once, each with a picture of their own; log and refusals.

    Args:
        visitors: the visitors.
        folder: where the pictures are drawn.
        seed: makes the pictures; the server has not seen those of a new seed.
    """
    log = Log()
    people = [Person(visitor, log) for visitor in visitors]
    files = draw_uploads(folder, len(people), seed)
    words = cycle(WORDS)
    await asyncio.gather(
        *(
            person.visit(file, f"{next(words)} {seed} {number}")
            for number, (person, file) in enumerate(zip(people, files, strict=True))
        )
    )
    assert len(log.searches) == 2 * len(people)
    return log, sum(person.refused for person in people)
