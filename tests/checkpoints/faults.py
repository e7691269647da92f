"""An answer of the Hub on this machine, and what can be made to go wrong with one."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class Reply:
    """What is sent: the body may be cut or held back, whatever the headers promise."""

    status: int
    headers: dict[str, str]
    body: bytes
    sent_bytes: int | None = None  # then the connection is cut; None sends all
    stalled: bool = False


Fault = Callable[[Reply], Reply]


def cut_after(count: int) -> Fault:
    """The connection breaks after so many bytes of the body."""
    return lambda reply: Reply(reply.status, reply.headers, reply.body, sent_bytes=count)


def shorter_by(count: int) -> Fault:
    """Fewer bytes than are listed, properly ended."""
    return lambda reply: Reply(reply.status, reply.headers, reply.body[:-count])


def damaged(reply: Reply) -> Reply:
    """As many bytes as are listed, the last one wrong."""
    return Reply(reply.status, reply.headers, reply.body[:-1] + bytes([reply.body[-1] ^ 1]))


def stalled(reply: Reply) -> Reply:
    """Headers and half of the body, then silence."""
    return Reply(reply.status, reply.headers, reply.body, len(reply.body) // 2, stalled=True)


def silent(reply: Reply) -> Reply:
    """The request is read, and nothing comes back."""
    return Reply(0, {}, b"", 0, stalled=True)


def refused(status: int, code: str = "", message: str = "", retry_after: str = "") -> Fault:
    """Another answer in place of the right one; what was asked for may be done all the same."""
    named = {"X-Error-Code": code, "X-Error-Message": message, "Retry-After": retry_after}
    return lambda _: Reply(status, {name: v for name, v in named.items() if v}, b"{}")
