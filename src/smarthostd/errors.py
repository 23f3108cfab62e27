"""What can break, as one tree.

::

    SmarthostdError
    ├── ConfigurationError      the administrator's file: one sentence, with file and line; exit 78
    ├── JudgeEnded              the child that judges a configuration gave no answer; exit 69
    ├── ExpansionError          a ${…} string that could not be expanded
    │   ├── ForcedFailure       the word ``fail`` in an expansion: an everyday ending with a meaning for each option
    │   └── ExpansionDefer      a lookup inside could not be done now: try again later
    ├── Deferral                a lookup, list or name could not be decided now
    │   ├── LookupDefer
    │   ├── ListDefer
    │   └── ResolveDefer        DNS did not answer
    ├── HostNotFound            DNS answered: no such name
    ├── SpoolError              the spool could not keep what it was given; carries 451 or 452
    │   ├── SpoolFull
    │   └── SpoolLocked         a second daemon on one spool
    ├── ControlError            a daemon is there and does not answer a tool as it should
    └── Refused                 intake or session policy: carries the reply for the wire

An everyday ending is a value (see ``outcome.py``); an exception is a broken piece of work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from smarthostd.reply import Reply


class SmarthostdError(Exception):
    """The root: everything that we raise ourselves."""


class Position(Struct, frozen=True):
    """Where in a configuration a value stands: ``/etc/smarthostd/smarthostd.conf:12``."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class ConfigurationError(SmarthostdError):
    """A mistake in a configuration: *message* is one sentence that names the fix."""

    def __init__(self, message: str, position: Position | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.position = position

    def __str__(self) -> str:
        return f"{self.position}: {self.message}" if self.position else self.message


class JudgeEnded(SmarthostdError):
    """The child that judges a configuration gave no answer, in time or at all; trying again may help."""


class ExpansionError(SmarthostdError):
    """Exim's text for what is wrong with a string to be expanded."""


class ForcedFailure(ExpansionError):
    """The expansion met the word ``fail``; every option says what that means for it (exim.md 5.5)."""


class ExpansionDefer(ExpansionError):
    """A lookup inside the expansion could not be done now."""


class Deferral(SmarthostdError):
    """Not decided now; the mail waits."""


class LookupDefer(Deferral):
    """A lookup's file cannot be read, or its key is not of the type's form."""


class ListDefer(Deferral):
    """A list could not be evaluated."""


class ResolveDefer(Deferral):
    """DNS gave no answer, neither yes nor no."""


class HostNotFound(SmarthostdError):
    """DNS says that a host's name does not exist or has no address."""


class SpoolError(SmarthostdError):
    """The spool did not keep the message; the client keeps it (451)."""


class SpoolFull(SpoolError):
    """No room on the spool's disk (452)."""


class SpoolLocked(SpoolError):
    """Another daemon works on this spool."""


class ControlError(SmarthostdError):
    """The daemon's control socket is there, and a tool could not talk to it."""


class Refused(SmarthostdError):
    """Intake says no; *reply* is the answer for the wire."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply
