"""A configuration judged in a child, so that the daemon is small and starts at once.

pydantic and the models take more memory than all the rest and half of a start, and are needed for as long as it takes
to read a file. So a child reads and judges, and answers with plain values (``plain.py``) or with the sentences of what
is wrong; the daemon meanwhile imports itself. The answer may hold passwords: it goes through a pipe and nowhere else.
"""

from __future__ import annotations

import os
import pickle
import resource
import select
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from smarthostd.errors import ConfigurationError, JudgeEnded

if TYPE_CHECKING:
    from smarthostd.config.load import Loaded

PATIENCE = 60
"""Seconds that a child may take: a file may lie on a disk that sleeps."""
_BLOCK = 1 << 16
_BEGIN = "import sys; sys.path[:] = sys.argv[3:]; from smarthostd.judging import answer; answer()"
"""The new process looks for its modules where this one has found them."""


class Objections(ConfigurationError):
    """Every mistake that the judge has found, each in a sentence of its own."""

    def __init__(self, sentences: Sequence[str]) -> None:
        super().__init__("\n".join(sentences))
        self.sentences = tuple(sentences)


class Judging:
    """A child at work: a copy of this process, which must have one thread only and goes on meanwhile."""

    def __init__(self, path: Path | None, environ: Mapping[str, str], *, lenient: bool) -> None:
        """Raises JudgeEnded where no process can be had."""
        self._answer, theirs = os.pipe()
        try:
            self._child = os.fork()
        except OSError as error:
            raise _no_process(error) from error
        if not self._child:
            _work(theirs, path, environ, lenient=lenient)
        os.close(theirs)

    def loaded(self) -> Loaded:
        """Return the configuration; raises Objections or JudgeEnded."""
        try:
            answer = self._read()
        finally:
            os.close(self._answer)
            status = os.waitstatus_to_exitcode(os.waitpid(self._child, 0)[1])
        return _loaded(answer, status)

    def _read(self) -> bytes:
        """Return all that the child says; raises JudgeEnded, and ends it, when it takes too long."""
        deadline = time.monotonic() + PATIENCE
        blocks: list[bytes] = []
        while select.select([self._answer], [], [], max(deadline - time.monotonic(), 0))[0]:
            block = os.read(self._answer, _BLOCK)
            if not block:
                return b"".join(blocks)
            blocks.append(block)
        os.kill(self._child, signal.SIGKILL)
        raise _too_long()


def judge(path: Path | None, environ: Mapping[str, str], *, lenient: bool) -> Loaded:
    """Return the configuration, judged by a new process: this one may have threads, and could not be copied.

    Raises Objections or JudgeEnded.
    """
    import subprocess

    isolated = "-I" if sys.flags.isolated else "-P"
    words = [str(path or ""), "lenient" if lenient else "", *sys.path]
    try:
        done = subprocess.run(  # noqa: S603  # this program's own
            [sys.executable, isolated, "-c", _BEGIN, *words],
            env=environ,
            stdout=subprocess.PIPE,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _too_long() from None
    except OSError as error:
        raise _no_process(error) from error
    return _loaded(done.stdout, done.returncode)


def answer() -> None:
    """Be the new process: the answer goes to standard output, whatever else is said to standard error."""
    path, lenient = sys.argv[1:3]
    theirs = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    _work(theirs, Path(path) if path else None, os.environ, lenient=bool(lenient))


def _work(theirs: int, path: Path | None, environ: Mapping[str, str], *, lenient: bool) -> NoReturn:
    """Judge, answer and end, whatever happens."""
    status = 1
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold passwords
        for number in (signal.SIGINT, signal.SIGPIPE):  # nobody is there any more to hear of it
            signal.signal(number, signal.SIG_DFL)
        signal.alarm(PATIENCE)
        said = pickle.dumps(_judged(path, environ, lenient=lenient))
        with open(theirs, "wb") as stream:
            stream.write(said)
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(status)


def _judged(path: Path | None, environ: Mapping[str, str], *, lenient: bool) -> object:
    """Return the plain values, or a tuple of sentences."""
    _without_plugins()
    from smarthostd.config.errors import ConfigurationErrors
    from smarthostd.config.load import load
    from smarthostd.config.plain import plain

    try:
        return plain(load(path, environ, lenient=lenient))
    except ConfigurationErrors as mistakes:
        return tuple(map(str, mistakes.errors))


def _without_plugins() -> None:
    """Keep strangers away from where passwords are.

    pydantic's own variable for that is read too late to spare a start 20 ms: who reads it imports importlib.metadata,
    and that email.
    """
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"
    loader: Any = ModuleType("pydantic.plugin._loader")
    loader.get_plugins = tuple
    sys.modules[loader.__name__] = loader


def _loaded(answer: bytes, status: int) -> Loaded:
    if status or not answer:
        if status == -signal.SIGALRM:
            raise _too_long()
        how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        raise JudgeEnded(f"the configuration could not be judged: the process for it {how} and gave no answer")
    found = pickle.loads(answer)  # noqa: S301  # our own child's
    if isinstance(found, tuple):
        raise Objections(found)
    loaded: Loaded = found
    return loaded


def _no_process(error: OSError) -> JudgeEnded:
    return JudgeEnded(f"the configuration cannot be judged: there is no process for it: {error.strerror}")


def _too_long() -> JudgeEnded:
    return JudgeEnded(f"the configuration could not be judged within {PATIENCE} seconds: is its disk there?")
