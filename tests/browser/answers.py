"""Waiting for the page's answers by what passes between page and server.

What the page shows is no sign of an answer: one with the same words, scores and milliseconds as
the last leaves every character of it in place.
"""

import time

QUIET_MS = 500  # an answer starts what follows from it (why, trace, share) well within this


def await_answer(page, act, timeout=15.0):
    """Act, and wait until the answer and all that it sets off have come."""
    under_way, came = set(), []

    def started(request):
        if "/queue/" in request.url or "/run/" in request.url:
            under_way.add(request)

    def ended(request):
        if request in under_way:
            under_way.discard(request)
            came.append(request)

    events = {"request": started, "requestfinished": ended, "requestfailed": ended}
    for event, handler in events.items():
        page.on(event, handler)
    try:
        act()
        deadline = time.monotonic() + timeout
        quiet_since = None
        while quiet_since is None or time.monotonic() - quiet_since < QUIET_MS / 1000:
            assert time.monotonic() < deadline, f"no answer within {timeout:g} seconds"
            page.wait_for_timeout(20)
            settled = came and not under_way
            quiet_since = (quiet_since or time.monotonic()) if settled else None
    finally:
        for event, handler in events.items():
            page.remove_listener(event, handler)
