"""Connections to Milvus: to Milvus Lite, which runs in this process, or to a server.

Milvus Lite stores its data in a folder whose name ends in `.db`, and listens on a local port. Only
one process at a time can open such a folder. Within the process, all connections to a folder share
one instance of Milvus Lite, which is stopped when the last connection is closed.
"""

import logging
import os
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from dwc.errors import DWCError, QueryError, StoreError

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

TOKEN_VARIABLE = "DWC_INDEX_TOKEN"
"""Environment variable with the token, or `user:password`, of a Milvus server."""

TIMEOUT_S = 30.0
"""The maximum duration of one request to Milvus, in seconds."""

_CONNECT_S = 10.0
_LITE_SUFFIX = ".db"
_SCHEMES = ("http://", "https://")
_LITE_LOCK = "LOCK"  # a file in every folder of Milvus Lite

_lite_users: Counter[str] = Counter()  # number of open connections by the folder's absolute path
_lite_lock = threading.RLock()  # reentrant, since a connection may be closed by garbage collection


def is_milvus_location(name: str) -> bool:
    """Return whether the name of an index is a folder of Milvus Lite or the address of a server."""
    return name.endswith(_LITE_SUFFIX) or name.lower().startswith(_SCHEMES)


def is_missing(location: str) -> bool:
    """Return whether a location is a folder of Milvus Lite that does not exist yet."""
    return not location.lower().startswith(_SCHEMES) and not Path(location).exists()


def check_location(location: str) -> str:
    """Check the location of a Milvus database without opening the database; return the location.

    Args:
        location: a path that ends in `.db`, or an address such as `http://host:19530`.

    Raises:
        QueryError: The address has no host, or its port is not a number.
        DWCError: The packages for Milvus are not installed.
        StoreError: The path cannot be a folder of Milvus Lite.
    """
    is_lite = not location.lower().startswith(_SCHEMES)
    needed = ["pymilvus", "milvus_lite"] if is_lite else ["pymilvus"]
    for package in needed:
        if find_spec(package) is None:
            raise DWCError(
                f"the index {display_location(location)!r} needs the package "
                f"{package.replace('_', '-')}. Install it: pip install 'dwc[milvus]'"
            )
    if is_lite:
        _check_lite_path(Path(location))
        return location
    try:
        address = urlsplit(location)
        is_address = bool(address.hostname) and (address.port is None or address.port > 0)
        is_address &= not location.endswith(_LITE_SUFFIX)  # pymilvus takes it for a path
    except ValueError:
        is_address = False
    if not is_address:
        raise QueryError(
            f"{display_location(location)!r} is no address of a Milvus server; expected one such "
            "as http://host:19530."
        )
    return location


def _check_lite_path(path: Path) -> None:
    if not path.absolute().parent.is_dir():
        raise StoreError(f"{path}: its folder {path.parent} does not exist. Create it first.")
    if path.is_dir():
        if any(path.iterdir()) and not (path / _LITE_LOCK).exists():
            raise StoreError(f"{path}: holds other things than Milvus Lite's. Give another path.")
    elif path.exists():
        raise StoreError(f"{path}: is a file; Milvus Lite needs a folder. Give another path.")


def display_location(location: str) -> str:
    """Return a location without user name and password, for messages."""
    if not location.lower().startswith(_SCHEMES) or "@" not in location:
        return location
    scheme, rest = location.split("://", 1)
    return f"{scheme}://{rest.rpartition('@')[2]}"


class MilvusConnection:
    """A connection to one Milvus database; several threads may use it at once.

    Attributes:
        location: The folder of Milvus Lite or the address of the server, for messages.
    """

    def __init__(self, location: str, prepare: Callable[[Any], None]) -> None:
        """Connect to a Milvus database.

        Args:
            location: a path that ends in `.db`, or an address such as `http://host:19530`.
            prepare: function that is called with the `pymilvus.MilvusClient` whenever a connection
                has been made, for example to load collections.

        Raises:
            DWCError: The packages for Milvus are not installed, or the location is invalid.
            StoreError: Milvus cannot be opened.
        """
        self.location = display_location(check_location(location))
        self._prepare = prepare
        self._lock = threading.RLock()
        self._opened = _OpenedClient(location)
        self._finalizer = weakref.finalize(self, self._opened.close)
        try:
            self._opened.connect()
            prepare(self._opened.client)
        except Exception as error:
            converted = self._error(error)
            self.close()
            raise converted from error

    def call(self, operation: Callable[..., Result], *args: Any) -> Result:
        """Run an operation on Milvus, and return its result.

        If the operation fails, for example because the connection was lost, this method connects
        again and repeats the operation once.

        Args:
            operation: function that is called with the `pymilvus.MilvusClient` and `args`. After an
                interrupted call, a second call must give the correct result.
            args: further arguments of the operation.

        Raises:
            StoreError: The operation failed twice or raised this error itself, or the connection
                was closed.
        """
        client = self._opened.client
        if client is None:
            raise StoreError(f"{self.location}: the connection was closed. Open the gallery again.")
        try:
            return operation(client, *args)
        except StoreError:
            raise
        except Exception as error:  # pymilvus raises its own errors, those of gRPC, and others
            logger.info("%s: %s; connecting again", self.location, _first_line(error))
        try:
            with self._lock:
                if self._opened.client is client:  # no other thread has connected again
                    self._opened.connect()
                    self._prepare(self._opened.client)
                client = self._opened.client
            return operation(client, *args)
        except StoreError:
            raise
        except Exception as error:
            raise self._error(error) from error

    def close(self) -> None:
        """Close the connection, and stop Milvus Lite if no other connection uses it."""
        self._finalizer()

    def _error(self, error: Exception) -> StoreError:
        """Convert an error of an operation on Milvus to a `StoreError` with advice for the user."""
        if isinstance(error, StoreError):
            return error
        reason = _first_line(error)
        if self._opened.is_lite:
            if type(error).__name__ == "DataDirLockedError":
                return StoreError(
                    f"{self.location}: another process has it open. End that process, or use a "
                    "Milvus server (--index http://host:19530), which many processes can share."
                )
            return StoreError(
                f"{self.location}: Milvus Lite fails ({reason}). If this happens again, delete the "
                "folder and write it again: python -m dwc index … --index "
                f"{self.location}. Until then, search with --index exact."
            )
        return StoreError(
            f"{self.location}: the Milvus server does not answer, or refuses ({reason}). Start it, "
            f"or check the address and {TOKEN_VARIABLE}. Until then, search with --index exact."
        )


class _OpenedClient:
    """The client of a Milvus connection; `connect` replaces the client if the connection was lost.

    Attributes:
        client: The `pymilvus.MilvusClient`; None before `connect` and after `close`.
        is_lite: Whether Milvus Lite runs in this process for the connection.
    """

    def __init__(self, location: str) -> None:
        self.client: Any = None
        self.is_lite = not location.lower().startswith(_SCHEMES)
        self._location = os.path.abspath(location) if self.is_lite else location
        self._is_counted = False

    def connect(self) -> None:
        """Open a new client, and close the previous client if there is one."""
        with suppress(Exception):  # closing a broken connection may fail
            if self.client is not None:
                self.client.close()
        if not self.is_lite:
            self.client = open_client(self._location)
            return
        with _lite_lock:
            if not self._is_counted:
                _lite_users[self._location] += 1
                self._is_counted = True
            with _logged_failures() as failures:
                try:
                    self.client = open_client(self._location)
                except Exception as error:
                    raise (failures[0] if failures else error) from None

    def close(self) -> None:
        """Close the client; stop Milvus Lite if no other connection in this process uses it."""
        with suppress(Exception):
            if self.client is not None:
                self.client.close()
        self.client = None
        with _lite_lock:
            if not self._is_counted:
                return
            self._is_counted = False
            _lite_users[self._location] -= 1
            if _lite_users[self._location] == 0:
                from milvus_lite.server_manager import server_manager_instance

                server_manager_instance.release_server(self._location)


def open_client(location: str) -> Any:
    """Return a new `pymilvus.MilvusClient`, which shares its connection with no other client."""
    from pymilvus import MilvusClient

    # pymilvus logs each error with a traceback before raising it. It also sends requests that
    # Milvus Lite does not know. They are harmless, but gRPC logs a traceback for each of them.
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
    if not location.lower().startswith(_SCHEMES):
        logging.getLogger("grpc._server").setLevel(logging.CRITICAL)
    token = os.environ.get(TOKEN_VARIABLE, "")
    return MilvusClient(location, token=token, timeout=_CONNECT_S, dedicated=True)


@contextmanager
def _logged_failures() -> Iterator[list[Exception]]:
    """Collect the exceptions that Milvus Lite would log when it cannot start.

    Their messages contain the reason for the failure. The message of the exception that pymilvus
    raises in this case does not contain it.

    Yields:
        The list to which the exceptions are added. They do not appear in the log.
    """
    failures: list[Exception] = []

    def collect(record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, Exception):
            failures.append(error)
        return error is None

    source = logging.getLogger("milvus_lite.server_manager")
    source.addFilter(collect)
    try:
        yield failures
    finally:
        source.removeFilter(collect)


def _first_line(error: Exception) -> str:
    text = str(getattr(error, "message", "") or error).strip().split("\n")[0]
    return text or type(error).__name__
