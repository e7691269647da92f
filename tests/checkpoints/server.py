"""The Hugging Face Hub on this machine: as much of its protocol as its client speaks, and faults.

Large files are given out as the Hub does, behind a redirect, and taken in by the LFS protocol.
"""

import base64
import hashlib
import json
import re
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

from tests.checkpoints.faults import Fault, Reply
from tests.checkpoints.repositories import Repository, git_hash, is_large, name_content

TOKEN = "hf_rightful"  # the one token that this Hub knows
POINTER_BYTES = 134


class Hub:
    """A Hub that listens at `address`; `asked` holds every request as (method, path, headers)."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.repositories: dict[str, Repository] = {}
        self.large: dict[str, bytes] = {}  # uploaded, not yet in a commit
        self.requested: list[tuple[str, str, dict[str, str]]] = []
        self._faults: list[tuple[re.Pattern[str], Fault, int]] = []
        self._lock = threading.Lock()
        self.closing = threading.Event()
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()

    def add(self, name: str, source: Path | None = None, kind: str = "models") -> Repository:
        """Make a repository, of the files of a folder if one is given."""
        repository = Repository(self.root / kind / name)
        self.repositories[f"{kind}/{name}"] = repository
        if source is not None:
            repository.commit(source)
        return repository

    def fail(self, pattern: str, fault: Fault, times: int = 1_000) -> None:
        """From now on, do this to replies to requests (`GET /path`) in which the pattern is."""
        with self._lock:
            self._faults.append((re.compile(pattern), fault, times))

    def heal(self) -> None:
        """Forget every fault, and what was asked."""
        with self._lock:
            self._faults.clear()
            self.requested.clear()

    def spoil(self, request: str, reply: Reply) -> Reply:
        """The reply after the first fault that is for this request."""
        with self._lock:
            for location, (pattern, fault, times) in enumerate(self._faults):
                if times and pattern.search(request):
                    self._faults[location] = (pattern, fault, times - 1)
                    return fault(reply)
        return reply

    def count(self, pattern: str) -> int:
        """How many requests (`GET /path`) there were in which the pattern is."""
        return sum(bool(re.search(pattern, f"{how} {path}")) for how, path, _ in self.requested)

    def close(self) -> None:
        """Stop answering, and let go of those who wait."""
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def serve(root: Path) -> Iterator[Hub]:
    """A Hub for as long as the block runs."""
    hub = Hub(root)
    try:
        yield hub
    finally:
        if not hub.closing.is_set():
            hub.close()


class _Refusal(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class _Handler(BaseHTTPRequestHandler):
    """One connection: finds what a path means, answers, and lets the faults at the answer."""

    hub: ClassVar[Hub]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def log_message(self, *_: object) -> None:
        """Tests read `Hub.requested`; the console stays quiet."""

    def _serve(self) -> None:
        self.address = urlsplit(self.path)
        self.hub.requested.append((self.command, self.path, dict(self.headers)))
        self.body = self._read_body()
        try:
            reply = self._answer(unquote(self.address.path))
        except _Refusal as refusal:
            headers = {"X-Error-Code": refusal.code, "X-Error-Message": str(refusal)}
            reply = Reply(refusal.status, headers, json.dumps({"error": str(refusal)}).encode())
        self._send(self.hub.spoil(f"{self.command} {self.path}", reply))

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            content = b""
            while size := int(self.rfile.readline(), 16):
                content += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return content
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _send(self, reply: Reply) -> None:
        body = b"" if self.command == "HEAD" else reply.body
        if reply.status:
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
        sent = body if reply.sent_bytes is None else body[: reply.sent_bytes]
        try:
            self.wfile.write(sent)
            self.wfile.flush()
        except ConnectionError:  # the client has gone
            self.close_connection = True
        if reply.stalled:
            self.hub.closing.wait(30)
        if reply.sent_bytes is not None:
            self.close_connection = True

    def _answer(self, path: str) -> Reply:
        routes: list[tuple[str, Callable[..., Reply]]] = [
            (r"/api/(models|datasets|spaces)/(.+?)/tree/([^/]+)", self._tree),
            (r"/api/(models|spaces)/(.+?)/preupload/([^/]+)", self._preupload),
            (r"/api/(models|spaces)/(.+?)/commit/([^/]+)", self._commit),
            (r"/api/(models)/(.+?)/branch/(.+)", self._branch),
            (r"/api/(models|datasets|spaces)/(.+?)/revision/(.+)", self._info),
            (r"/api/(models|datasets|spaces)/(.+)", self._info),
            (r"/api/repos/create", self._create),
            (r"/api/validate-yaml", lambda: _json({})),
            (r"/(.+)\.git/info/lfs/objects/batch", self._batch),
            (r"/lfs/([0-9a-f]{64})", self._take_large),
            (r"/(?:(datasets|spaces)/)?([^/]+/[^/]+)/(?:resolve|cdn)/([^/]+)/(.+)", self._file),
        ]
        for pattern, answer in routes:
            if actual := re.fullmatch(pattern, path):
                return answer(*actual.groups())
        raise _Refusal(404, "", f"no such page: {path}")

    def _find(self, kind: str | None, name: str) -> Repository:
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if given not in ("", TOKEN):
            raise _Refusal(401, "", "Invalid credentials in Authorization header")
        repository = self.hub.repositories.get(f"{kind or 'models'}/{name}")
        if repository is None or (repository.private and not given):
            raise _Refusal(404 if given else 401, "RepoNotFound", "Repository not found")
        if repository.gated:
            raise _Refusal(403, "GatedRepo", f"Access to {name} is restricted")
        return repository

    def _find_commit(self, kind: str | None, name: str, revision: str) -> tuple[Repository, str]:
        repository = self._find(kind, name)
        commit = repository.resolve(revision)
        if commit is None:
            raise _Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return repository, commit

    def _info(self, kind: str, name: str, revision: str = "main") -> Reply:
        repository, commit = self._find_commit(kind, name, revision)
        siblings = []
        for path, file in repository.files(commit).items():
            siblings.append({"rfilename": path})
            if "blobs" in parse_qs(self.address.query):
                siblings[-1].update(_describe(path, file.read_bytes(), "blobId", "sha256"))
        return _json(
            {"id": name, "sha": commit, "private": repository.private, "siblings": siblings}
        )

    def _tree(self, kind: str, name: str, revision: str) -> Reply:
        repository, commit = self._find_commit(kind, name, revision)
        return _json(
            [
                {"type": "file", "path": path, **_describe(path, file.read_bytes(), "oid", "oid")}
                for path, file in repository.files(commit).items()
            ]
        )

    def _file(self, kind: str | None, name: str, revision: str, path: str) -> Reply:
        repository, commit = self._find_commit(kind, name, revision)
        file = repository.files(commit).get(path)
        headers = {"X-Repo-Commit": commit}
        if file is None:
            raise _Refusal(404, "EntryNotFound", f"{path} does not exist")
        content = file.read_bytes()
        headers["ETag"] = f'"{name_content(path, content)}"'
        if is_large(path) and "/resolve/" in self.address.path:
            headers["X-Linked-ETag"] = headers["ETag"]
            headers["X-Linked-Size"] = str(len(content))
            headers["Location"] = self.hub.address + self.path.replace("/resolve/", "/cdn/", 1)
            return Reply(302, headers, b"")
        start = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if start is None:
            return Reply(200, headers, content)
        first = int(start[1])
        headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        return Reply(206, headers, content[first:])

    def _require_token(self) -> None:
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise _Refusal(401, "", "Invalid username or password.")

    def _create(self) -> Reply:
        self._require_token()
        requests = json.loads(self.body)
        name = f"{requests['organization'] or 'owner'}/{requests['name']}"
        kind = requests.get("type", "model") + "s"
        url = {"url": f"{self.hub.address}/{_web_path(kind, name)}", "name": name}
        if f"{kind}/{name}" in self.hub.repositories:
            return _json({"error": "You already created this repo", **url}, 409)
        repository = self.hub.add(name, kind=kind)
        repository.sdk = requests.get("sdk")
        repository.private = requests.get("visibility") == "private"
        first = self.hub.root / "first"
        first.mkdir(exist_ok=True)
        (first / ".gitattributes").write_text("*.safetensors filter=lfs\n")
        repository.commit(first)
        return _json(url)

    def _branch(self, kind: str, name: str, branch: str) -> Reply:
        self._require_token()
        repository = self._find(kind, name)
        if branch in repository.branches:
            return _json({"error": "Reference already exists"}, 409)
        repository.branches[branch] = repository.branches["main"]
        return _json({})

    def _preupload(self, kind: str, name: str, revision: str) -> Reply:
        self._require_token()
        repository, commit = self._find_commit(kind, name, revision)
        there = repository.files(commit)
        files = []
        for requests in json.loads(self.body)["files"]:
            path = requests["path"]
            oid = name_content(path, there[path].read_bytes()) if path in there else None
            mode = "lfs" if is_large(path) else "regular"
            files.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return _json({"files": files})

    def _batch(self, name: str) -> Reply:
        self._require_token()
        objects = [
            {
                **requests,
                "actions": {"upload": {"href": f"{self.hub.address}/lfs/{requests['oid']}"}},
            }
            for requests in json.loads(self.body)["objects"]
        ]
        return _json({"transfer": "basic", "objects": objects})

    def _take_large(self, oid: str) -> Reply:
        if hashlib.sha256(self.body).hexdigest() != oid:
            raise _Refusal(422, "", "the content is not what its name says")
        self.hub.large[oid] = self.body
        return Reply(200, {"ETag": f'"{oid}"'}, b"")

    def _commit(self, kind: str, name: str, branch: str) -> Reply:
        self._require_token()
        repository, parent = self._find_commit(kind, name, branch)
        operations = [json.loads(line) for line in self.body.splitlines()]
        header = operations.pop(0)["value"]
        if header.get("parentCommit", parent) != parent:
            raise _Refusal(412, "", "The branch has moved")
        made = self.hub.root / "being-made"
        shutil.copytree(repository.folder / parent, made)
        for operation in operations:
            _apply(operation["key"], operation["value"], made, self.hub.large)
        commit = repository.commit(made, branch)
        shutil.rmtree(made)
        address = f"{self.hub.address}/{_web_path(kind, name)}"
        return _json({"commitUrl": f"{address}/commit/{commit}", "commitOid": commit})


def _web_path(kind: str, name: str) -> str:
    """The path of a repository's page: models have no prefix."""
    return name if kind == "models" else f"{kind}/{name}"


def _apply(key: str, value: dict[str, Any], folder: Path, large: dict[str, bytes]) -> None:
    target = folder / value["path"]
    if key == "deletedFile":
        target.unlink()
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(
        large[value["oid"]] if key == "lfsFile" else base64.b64decode(value["content"])
    )


def _describe(path: str, content: bytes, git_name: str, large_name: str) -> dict[str, Any]:
    told: dict[str, Any] = {"size": len(content), git_name: git_hash(content)}
    if is_large(path):
        told["lfs"] = {
            large_name: hashlib.sha256(content).hexdigest(),
            "size": len(content),
            "pointerSize": POINTER_BYTES,
        }
    return told


def _json(answer: dict[str, Any] | Iterable[Any], status: int = 200) -> Reply:
    return Reply(status, {"Content-Type": "application/json"}, json.dumps(answer).encode())
