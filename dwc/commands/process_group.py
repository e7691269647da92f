"""The processes that `torchrun` or `accelerate launch` started to run one command together.

In every process, a thread sends the process's status to all other processes several times a second.
So process 0 can show the progress of all processes, and an error in one process ends the command in
all processes. If the host of a process fails, the other processes notice it within minutes, even
during computations that take hours.
"""

import os
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from dwc.errors import StoreError, TrainingError

if TYPE_CHECKING:
    import torch

# The variables that accelerate reads. Each MPI implementation sets one of the last three.
_SIZE_VARIABLES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
_SECONDS_BETWEEN_MESSAGES = 0.2
_TIMEOUT = timedelta(minutes=10)
_FAREWELL_SECONDS = 5.0

Progress = Callable[[int, int, float], None]


def is_launched() -> bool:
    """Return whether a launcher such as `torchrun` started this process as one of several."""
    sizes = (os.environ.get(name, "") for name in _SIZE_VARIABLES)
    return any(size.isdecimal() and int(size) > 1 for size in sizes)


def require_one_process(command: str) -> None:
    """Raise `TrainingError` if a launcher started several processes.

    Args:
        command: The name of the command. It must not run several times at once, since all runs
            would write the same files.
    """
    if is_launched():
        raise TrainingError(
            f"dwc {command} runs in one process, and a launcher started several (WORLD_SIZE). "
            f"Start it without one: python -m dwc {command}"
        )


class OtherProcessError(StoreError):
    """Another process of the same launch has failed.

    Attributes:
        is_reported: Whether process 0 prints the error, so that this process need not print it.
    """

    is_reported = False


class _Status(NamedTuple):
    """The status of a process, as it is sent to all other processes.

    Attributes:
        notes: The short texts for other processes that the process has passed to `wait`, one per
            call.
        finished: The number of pictures that the process has finished.
        total: The number of pictures that the process has to finish in total.
        error: The message of the process's error; None if there is none.
        has_left: Whether the process has called `leave`, and needs no more messages.
    """

    notes: tuple[str, ...] = ()
    finished: int = 0
    total: int = 0
    error: str | None = None
    has_left: bool = False


class ProcessGroup:
    """The connection of this process to the other processes that a launcher started.

    It is a context manager.

    Attributes:
        index: The number of this process, from 0.
        count: The number of processes on all hosts.
        local_count: The number of processes on this host.
        device: The device for this process's model.
    """

    def __init__(self, show: Progress | None = None) -> None:
        """Connect to the other processes.

        Args:
            show: Function that process 0 calls with the number of finished pictures of all
                processes, the number of all pictures, and the estimated seconds left.

        Raises:
            StoreError: The package accelerate is missing, or the other processes cannot be reached.
        """
        try:
            from accelerate import PartialState
        except ImportError as error:
            raise StoreError(
                "a launcher started several processes, which needs the package accelerate. "
                "Install it: pip install 'dwc[train]'"
            ) from error
        # The processes exchange only messages, so they need no GPU backend. Without `cpu=True`,
        # processes on a host without GPUs would not be connected.
        try:
            state = PartialState(cpu=True, timeout=_TIMEOUT)
        except (RuntimeError, ValueError) as error:
            raise StoreError(
                f"the other processes of the launch cannot be reached ({error}). Check the "
                "launcher's arguments: the address and port of the first host, and its number of "
                "hosts and processes."
            ) from error
        self.index, self.count = state.process_index, state.num_processes
        self.local_count = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        self.device = _local_device(state.local_process_index)
        self._show = show if self.index == 0 else None
        self._started = time.monotonic()
        self._status = _Status()
        self._statuses = [_Status()] * self.count
        self._error: StoreError | None = None  # an error in another process
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._exchange, daemon=True)
        self._thread.start()

    def __enter__(self) -> "ProcessGroup":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if error is not None and self._thread.is_alive():
            self._update(error=f"{kind.__name__ if kind else ''}: {error}")
            self._thread.join(_FAREWELL_SECONDS)

    def wait(self, note: str = "") -> list[str]:
        """Wait until all processes have called this method the same number of times.

        Args:
            note: A short text for the other processes.

        Returns:
            The notes of all processes, in the order of the processes' numbers.

        Raises:
            OtherProcessError: Another process failed.
            StoreError: The connection to another process was lost.
        """
        notes = (*self._status.notes, note)
        self._update(notes=notes)
        with self._changed:
            self._changed.wait_for(
                lambda: self._error or all(len(s.notes) >= len(notes) for s in self._statuses)
            )
            statuses = self._statuses
        self._raise_error()
        return [status.notes[len(notes) - 1] for status in statuses]

    def leave(self) -> None:
        """Wait until every process has called this method, then stop the exchange of messages."""
        self._update(has_left=True)
        self._thread.join()
        self._raise_error()

    def advance(self, finished: int, total: int, seconds_left: float) -> None:
        """Report the progress of this process to the other processes.

        Args:
            finished: The number of pictures that this process has finished.
            total: The number of pictures that this process has to finish in total.
            seconds_left: Not used; it belongs to the interface of progress callbacks.

        Raises:
            OtherProcessError: Another process failed.
            StoreError: The connection to another process was lost.
        """
        self._raise_error()
        self._update(finished=finished, total=total)

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _update(self, **changes: object) -> None:
        with self._changed:
            self._status = self._status._replace(**changes)  # type: ignore[arg-type]

    def _exchange(self) -> None:
        """Exchange the statuses until all processes have left or one has failed."""
        from torch import distributed

        while True:
            statuses = [_Status()] * self.count
            error: StoreError | None = None
            try:
                distributed.all_gather_object(statuses, self._status)
            except Exception as failure:  # torch does not say which errors its backends raise
                error = StoreError(
                    f"the connection to another process was lost ({failure}): it has ended, or its "
                    "host cannot be reached. The same command goes on."
                )
            for index, status in enumerate(statuses):
                if status.error is not None and index != self.index:
                    error = OtherProcessError(
                        f"process {index + 1} of {self.count} failed: {status.error}"
                    )
                    error.is_reported = self.index > 0
            with self._changed:
                self._statuses, self._error = statuses, error
                self._changed.notify_all()
            self._show_progress(statuses)
            # All processes receive the same statuses, so they stop after the same exchange.
            has_failed = error is not None or any(status.error for status in statuses)
            if has_failed or all(status.has_left for status in statuses):
                return
            time.sleep(_SECONDS_BETWEEN_MESSAGES)

    def _show_progress(self, statuses: list[_Status]) -> None:
        finished = sum(status.finished for status in statuses)
        total = sum(status.total for status in statuses)
        if self._show is not None and total:
            seconds = time.monotonic() - self._started
            left = seconds / finished * (total - finished) if finished else 0.0
            self._show(finished, total, left)


def _local_device(local_index: int) -> "torch.device":
    """Return the device for a process's model: one of the host's GPUs, or the CPU.

    The CPU is used if torch can use no GPU, or if `accelerate launch --cpu` was called.

    Args:
        local_index: The number of the process on its host, from 0.
    """
    import torch
    from accelerate.utils import parse_flag_from_env

    from dwc.modeling.modeling_dwc import local_device

    is_on_cpu = parse_flag_from_env("ACCELERATE_USE_CPU")
    return torch.device("cpu") if is_on_cpu else local_device(local_index)
