"""Python processes that need not import everything again: they are forked from one that has.

A command of this package imports for seconds what it computes with for a fraction of one. `PYTHON`
stands for `sys.executable` in a command of `subprocess` (`[*PYTHON, "-m", "dwc", "index"]`): the
process has its own environment, folder, streams, signals and exit status. Only what an interpreter
does before its first line is not repeated: the modules are imported, and hash seed and encoding of
file names are the server's. Tests of that, and of variables that libraries read at their import,
use `sys.executable`.

`PYTHON` is a bare interpreter that passes its arguments and open files to the server and waits;
`multiprocessing` starts its processes in the same way. To wait for the process after `kill()`, read
its output to the end (`communicate()`). The server is one for all processes that share the tests;
it imports at the first request, and ends with the process that started it. Without a server,
`PYTHON` becomes an ordinary interpreter.
"""

import json
import os
import select
import signal
import socket
import sys
from contextlib import contextmanager

ADDRESS = "DWC_TEST_FORK_SERVER"  # the environment variable that names the server's socket
FILE = os.path.abspath(__file__)
ROOT = os.path.dirname(os.path.dirname(FILE))
PYTHON = [sys.executable, "-I", "-S", FILE]
IMPORTS = (
    "dwc.commands.index",
    "dwc.commands.search",
    "dwc.gallery.projection",
    "dwc.search.searcher",
    "dwc.training.catalogue.photographs",
    "dwc.training.dwc.train_benchmark",
    "dwc.ui.startup",
    "torch.distributed.run",
)
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
STREAMS = (0, 1, 2)


@contextmanager
def serving():
    """Run a server, and name it in the environment of this process."""
    import subprocess
    import tempfile

    if not hasattr(os, "pidfd_open") or ADDRESS in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        address = os.path.join(folder, "server")
        listener.bind(address)
        listener.listen(64)
        server = subprocess.Popen(
            [sys.executable, FILE, "--serve", str(listener.fileno())],
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
        )
        with open(_executable(address), "w") as script:
            os.chmod(script.fileno(), 0o700)
            script.write(f"#!{sys.executable} -IS\n")
            script.write(f"import runpy; runpy.run_path({FILE!r}, run_name='__main__')\n")
        os.environ[ADDRESS] = address
        try:
            yield
        finally:
            del os.environ[ADDRESS]
            server.stdin.close()
            server.wait()


def _executable(address):
    """Name the server's script that is `PYTHON` in one word, as `multiprocessing` needs it."""
    return os.path.join(os.path.dirname(address), "python")


def spawn_from_server():
    """Let `multiprocessing` start this process's processes from the server, if there is one."""
    import multiprocessing

    if ADDRESS in os.environ:
        multiprocessing.set_executable(_executable(os.environ[ADDRESS]))


def _is_inherited(descriptor):
    try:
        return os.get_inheritable(descriptor)
    except OSError:  # that of the folder from which the numbers were read
        return False


def request(arguments):
    """Let the server run Python with these arguments, and end as that process ends."""
    # The resource tracker of `multiprocessing` imports next to nothing.
    if ADDRESS not in os.environ or any("resource_tracker" in word for word in arguments):
        os.execv(sys.executable, [sys.executable, *arguments])
    files = [number for number in map(int, os.listdir("/proc/self/fd")) if _is_inherited(number)]
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(os.environ[ADDRESS])
    for number in FORWARDED:
        signal.signal(number, lambda number, frame: connection.send(bytes([number])))
    content = {"arguments": arguments, "cwd": os.getcwd(), "env": dict(os.environ), "files": files}
    socket.send_fds(connection, [json.dumps(content).encode() + b"\n"], files)
    status = int(connection.makefile().readline())
    if status < 0:
        if -status in FORWARDED:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


def serve(descriptor):
    """Fork a process for each request, until this one's input ends; return in that process.

    Returns:
        What to run, its arguments first; None in the server.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=descriptor) as listener:
        while listener in select.select([listener, 0], [], [])[0]:
            connection, _ = listener.accept()
            _import()
            if os.fork() == 0:
                listener.close()
                signal.signal(signal.SIGINT, signal.default_int_handler)
                return _start(connection)
            connection.close()
            _reap()
    return None


def _import():
    """Import what commands import, at the first request; on one thread, which can be forked."""
    if IMPORTS[0] in sys.modules:
        return
    import gc
    from importlib import import_module

    sys.path.insert(0, ROOT)
    for library in ("OMP", "MKL", "OPENBLAS"):
        os.environ[f"{library}_NUM_THREADS"] = "1"
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    gc.disable()
    for name in IMPORTS:
        import_module(name)
    gc.freeze()
    gc.enable()


def _reap():
    """Forget the processes that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _start(connection):
    """Read a request and fork once more: this process waits for the other and tells its end."""
    content, received, _, _ = socket.recv_fds(connection, 1 << 16, 250)
    while not content.endswith(b"\n"):
        content += connection.recv(1 << 16)
    process = os.fork()
    if process:
        for descriptor in (*STREAMS, *received):
            os.close(descriptor)
        _wait(connection, process)
    import fcntl

    connection.close()
    content = json.loads(content)
    # First out of the way of the numbers that they have in the process that sent them.
    above = max(*content["files"], *received) + 1
    moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, above) for descriptor in received]
    for descriptor in received:
        os.close(descriptor)
    for descriptor, number in zip(moved, content["files"], strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)
    return content


def _wait(connection, process):
    """Forward signals to a process, kill it if nobody waits any more, and tell its status."""
    ended = os.pidfd_open(process)
    while True:
        ready = select.select([connection, ended], [], [])[0]
        if ended in ready:
            status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
            try:
                connection.send(b"%d\n" % status)
            finally:
                os._exit(0)
        number = connection.recv(1)
        os.kill(process, number[0] if number else signal.SIGKILL)
        if not number:
            os.waitpid(process, 0)
            os._exit(0)


def run(content):
    """Do what the interpreter does with these arguments, variables and working folder."""
    import runpy
    import warnings
    from importlib import reload

    import huggingface_hub.constants
    import torch

    os.chdir(content["cwd"])
    os.environ.clear()
    os.environ.update(content["env"])
    variables = os.environ
    encoding, _, errors = variables.get("PYTHONIOENCODING", "").partition(":")
    for number, name in zip(STREAMS, ("stdin", "stdout", "stderr"), strict=True):
        stream = open(  # noqa: SIM115
            number,
            "r" if name == "stdin" else "w",
            # A text stream counts 1 as lines.
            buffering=1 if name == "stderr" or os.isatty(number) else -1,
            encoding=encoding or "utf-8",
            errors="backslashreplace" if name == "stderr" else errors or "strict",
            closefd=False,
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    threads = variables.get("OMP_NUM_THREADS")
    torch.set_num_threads(int(threads) if threads else len(os.sched_getaffinity(0)))
    reload(huggingface_hub.constants)  # which reads variables
    spawn_from_server()

    arguments = content["arguments"]
    while arguments[0][0] == "-" and arguments[0] not in ("-m", "-c"):
        if arguments[0] == "-W":
            warnings.simplefilter(arguments.pop(1))
        del arguments[0]
    sys.path[:0] = filter(None, variables.get("PYTHONPATH", "").split(os.pathsep))
    kind, *rest = arguments
    if kind == "-m":
        sys.path.insert(0, os.getcwd())
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.path.insert(0, "")
        sys.argv = ["-c", *rest[1:]]
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.path.insert(0, os.path.dirname(os.path.abspath(kind)))
        sys.argv = arguments
        runpy.run_path(kind, run_name="__main__")


def finish(content):
    """Run, and exit as an interpreter does, but do not take apart all that was imported."""
    import atexit
    import threading

    status = 0
    try:
        run(content)
    except SystemExit as end:
        if isinstance(end.code, int):
            status = end.code & 0xFF
        elif end.code is not None:
            sys.stderr.write(f"{end.code}\n")
            status = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
    except OSError:
        status = 120  # as an interpreter that cannot write its output
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        del sys.path[0]  # the folder of this file
        content = serve(int(sys.argv[2]))
        if content is not None:
            finish(content)
    else:
        request(sys.argv[1:])
