"""Run a Python program and count where its processor time goes: ``sampler.py FILE python -m MODULE ARGUMENTS``.

A timer of the kernel runs while the program uses the processor. At each of its ticks, every thread's time since the
tick before is put down to the line of calls in which it is now. So nothing is lost between two ticks, and a
thread that waits costs nothing. When the program ends, FILE holds the stacks, innermost call first, as JSON.

Python runs a signal's handler only between two instructions. Time that C has used is therefore put down to the call
that led there; but where C called Python (the event loop, a callback), the tick is seen at the beginning of the
callback, though the time was the loop's. Such a tick is known by its instruction, and the callback is left out.
"""

from __future__ import annotations

import dis
import json
import runpy
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType

INTERVAL = 0.001
"""Seconds between two ticks; the kernel may make them longer."""
_RESUME = dis.opmap["RESUME"]

Stack = tuple[CodeType, ...]


class Sampler:
    """Nanoseconds by stack, the innermost call first."""

    def __init__(self) -> None:
        self.times: Counter[Stack] = Counter()
        self._clocks: dict[int, int] = {}

    def tick(self, _number: int, main: FrameType | None) -> None:
        """Put down what each thread has used since the last tick."""
        frames = sys._current_frames()
        for thread in threading.enumerate():
            if thread.ident is None or thread.ident not in frames:
                continue
            used = time.clock_gettime_ns(time.pthread_getcpuclockid(thread.ident))
            frame = main if thread is threading.main_thread() else frames[thread.ident]
            self.times[stack(frame)] += used - self._clocks.get(thread.ident, 0)
            self._clocks[thread.ident] = used

    def write(self, place: Path) -> None:
        """Write all as JSON: a list of pairs of time and stack, a call being its file and name."""
        told = [
            (spent, [(code.co_filename, code.co_qualname) for code in calls]) for calls, spent in self.times.items()
        ]
        place.write_text(json.dumps(told))


def stack(frame: FrameType | None) -> Stack:
    """Return the calls from *frame* outwards, without one that has only just begun."""
    if frame is not None and frame.f_back is not None and frame.f_code.co_code[frame.f_lasti] == _RESUME:
        frame = frame.f_back
    calls = []
    while frame is not None:
        calls.append(frame.f_code)
        frame = frame.f_back
    return tuple(calls)


def main() -> None:
    """Run the module that stands behind ``-m``."""
    place, _python, _flag, module, *arguments = sys.argv[1:]
    sampler = Sampler()
    sys.argv = [module, *arguments]
    signal.signal(signal.SIGPROF, sampler.tick)
    signal.setitimer(signal.ITIMER_PROF, INTERVAL, INTERVAL)
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        sampler.write(Path(place))


if __name__ == "__main__":
    main()
