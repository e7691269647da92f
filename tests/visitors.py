"""Visitors of the page without browsers: what a browser sends to the server, sent by a script."""

import asyncio
import json
import time
import uuid
from collections.abc import Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

API = "gradio_api"
WAIT_SECONDS = 600
CLOSED = (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)


def run_in_thread(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine in a thread of its own; the main thread may have the browser tests' loop."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


class Refused(Exception):
    """The server took no event, since its queue is full."""

    def __init__(self, retry_after: str | None) -> None:
        super().__init__(f"busy; Retry-After: {retry_after}")
        self.retry_after = retry_after


class Visitor:
    """One visitor's page: the values of its components, and a session of its own.

    Attributes:
        values: the components' values by element id, as a browser would hold them.
        places: the places in the queue that the server told for the last event.
    """

    def __init__(self, client: httpx.AsyncClient, config: Mapping[str, Any]) -> None:
        self._client, self._config = client, config
        self._session = uuid.uuid4().hex[:12]
        self._components = {component["id"]: component for component in config["components"]}
        self._values = {
            id: component["props"].get("value") for id, component in self._components.items()
        }
        self._ids = {
            component["props"].get("elem_id"): id for id, component in self._components.items()
        }
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._early: dict[str, dict[str, Any]] = {}  # answers that came before their event's id
        self._stream: asyncio.Task[None] | None = None
        self._has_read = False  # whether the current stream has sent anything
        self._places: dict[str, list[tuple[int, int]]] = {}
        self.places: list[tuple[int, int]] = []

    @property
    def values(self) -> dict[str, Any]:
        return {name: self._values[id] for name, id in self._ids.items() if name}

    @property
    def screen(self) -> dict[str, Any] | None:
        return self.values["screen"]

    def fill(self, **values: Any) -> None:
        """Fill fields, by element id."""
        for name, value in values.items():
            self._values[self._ids[name]] = value

    async def upload(self, file: Path) -> dict[str, Any]:
        """Upload a picture and make it the reference; its data as the server names it."""
        response = await self._post(
            "upload", files={"files": (file.name, file.read_bytes(), "image/png")}
        )
        response.raise_for_status()
        data = {"path": response.json()[0], "meta": {"_type": "gradio.FileData"}}
        self.fill(reference=data)
        return data

    async def send(self, element: str, event: str, **data: Any) -> bool:
        """Trigger an element's event and wait for its answer; whether it succeeded."""
        target = [self._ids.get(element), event]
        for dependency in self._config["dependencies"]:
            if target in dependency["targets"] and dependency["backend_fn"]:
                return await self._run(dependency, data)
        raise LookupError(f"{element} has no event {event}")

    async def open(self, **visit: Any) -> bool:
        """Load the page: what its `load` event does."""
        for dependency in self._config["dependencies"]:
            loads = any(name == "load" for _, name in dependency["targets"])
            if loads and dependency["backend_fn"]:
                if "visit" in self._ids:  # not in the earliest version that benches compare
                    self.fill(visit={"address": "", **visit})
                return await self._run(dependency, {})
        raise LookupError("nothing happens when the page loads")

    async def search(self) -> bool:
        """Press Search; only until the results are there."""
        return await self.send("search", "click")

    async def ask_when(self) -> int:
        """What the page asks after a refused search: in how many seconds to search again."""
        for dependency in self._config["dependencies"]:
            follows = dependency["trigger_after"] == self._last["id"]
            if follows and dependency["trigger_only_on_failure"] and dependency["backend_fn"]:
                assert await self._run(dependency, {})
                id, _ = dependency["outputs"]  # the estimate, and the page's message
                return int(self._values[id]["seconds"])
        raise LookupError("nothing follows a refusal")

    def explain(self) -> Coroutine[Any, Any, None]:
        """Everything that the page asks for after the last event, one after the other."""
        return self._follow(self._last)

    async def _follow(self, previous: Mapping[str, Any]) -> None:
        while True:
            following = [
                dependency
                for dependency in self._config["dependencies"]
                if dependency["trigger_after"] == previous["id"]
                and not dependency["trigger_only_on_failure"]
            ]
            runs = [dependency for dependency in following if dependency["backend_fn"]]
            if not runs:
                return
            (previous,) = runs
            await self._run(previous, {})

    async def _run(self, dependency: Mapping[str, Any], data: Mapping[str, Any]) -> bool:
        self._last = dependency
        body = {
            "data": [self._values[id] for id in dependency["inputs"]],
            "fn_index": dependency["id"],
            "session_hash": self._session,
            "event_data": dict(data) or None,
            "trigger_id": None,
        }
        if dependency["queue"] is False:
            response = await self._post("run/predict", json=body)
            if response.status_code != 200:
                return False
            self._update(dependency, response.json()["data"])
            return True
        response = await self._post("queue/join", json=body)
        if response.status_code == 503:
            raise Refused(response.headers.get("retry-after"))
        response.raise_for_status()
        event_id = response.json()["event_id"]
        future = self._waiting[event_id] = asyncio.get_running_loop().create_future()
        if event_id in self._early:
            self._waiting.pop(event_id).set_result(self._early.pop(event_id))
        if not future.done() and (self._stream is None or self._stream.done()):
            self._stream = asyncio.create_task(self._listen())
        output = await asyncio.wait_for(future, WAIT_SECONDS)
        self.places = self._places.pop(event_id, [])
        if not output["success"]:
            return False
        self._update(dependency, output["output"]["data"])
        return True

    async def _post(self, path: str, **content: Any) -> httpx.Response:
        """Send a request, and once more if the connection was closed before any response.

        Servers close idle connections, perhaps just when a request is sent over one; browsers then
        send it again.
        """
        try:
            return await self._client.post(f"{API}/{path}", **content)
        except CLOSED:
            return await self._client.post(f"{API}/{path}", **content)

    async def _listen(self) -> None:
        """Read the session's messages while it waits for some."""
        while self._waiting:
            await self._read_stream()

    async def _read_stream(self) -> None:
        """Read the messages of a connection; none if the server closed it before, as in `_post`."""
        self._has_read = False
        try:
            await self._read_messages()
        except CLOSED:
            if self._has_read:
                raise

    async def _read_messages(self) -> None:
        address = f"{API}/queue/data?session_hash={self._session}"
        async with self._client.stream("GET", address, timeout=WAIT_SECONDS) as response:
            async for line in response.aiter_lines():
                self._has_read = True
                if not line.startswith("data:"):
                    continue
                message = json.loads(line.removeprefix("data:"))
                event_id = message.get("event_id")
                if message["msg"] == "estimation":
                    place = (message["rank"] + 1, message["queue_size"])
                    self._places.setdefault(event_id, []).append(place)
                elif message["msg"] == "process_completed":
                    future = self._waiting.pop(event_id, None)
                    if future is None:
                        self._early[event_id] = message
                    else:
                        future.set_result(message)
                elif message["msg"] == "close_stream":
                    break

    def _update(self, dependency: Mapping[str, Any], outputs: list[Any]) -> None:
        for id, value in zip(dependency["outputs"], outputs, strict=True):
            if self._components[id]["type"] == "state":
                continue
            if isinstance(value, Mapping) and value.get("__type__") == "update":
                if "value" in value:
                    self._values[id] = value["value"]
            else:
                self._values[id] = value


async def visitors(client: httpx.AsyncClient, count: int) -> list[Visitor]:
    """Visitors of the page that a client reaches, none of whom has opened it."""
    config = (await client.get("config")).json()
    return [Visitor(client, config) for _ in range(count)]


async def timed(work: Any) -> tuple[Any, float]:
    """An awaitable's result, and how many seconds it took."""
    start = time.perf_counter()
    return await work, time.perf_counter() - start
