"""Exim's command line, read as Exim reads it (exim.md 11).

Options stand in front: the first word without a hyphen, or the one behind ``--``, begins the arguments. Most options
take their value in the same word or in the next (``-f a@b``, ``-fa@b``), some only in one of the two. Behind ``-brt``,
``-brw`` and the options that act on messages everything is an argument, hyphen or not.

Every option that Exim 4.96 has is known here by its form: what Exim refuses is refused in its words, and what it takes
is never mistaken for something else. What we do about it is the dispatch's business.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum

from msgspec import Struct, field

from smarthostd.errors import SmarthostdError
from smarthostd.message_id import SHAPE
from smarthostd.syntax import is_address

_INCOMPATIBLE = "exim: incompatible command-line options or arguments"
STRICT = "-strict"
"""The one option that is ours, without its first hyphen."""
LONGEST_ARGUMENT = 256
"""Octets of an address or a string to expand; the limits are Exim's."""
LONGEST_SENDER = 1024
MOST_MACROS = 10
LONGEST_MACRO_NAME = 23
"""Characters that count of a name behind ``-D``."""


class Task(StrEnum):
    """What is to be done. Where several are asked for, Exim does the one that stands first here."""

    QUEUE = "queue"
    RETRY = "-brt"
    REWRITE = "-brw"
    LIST = "-bP"
    ROUTE = "-bt"
    VERIFY = "-bv"
    EXPAND = "-be"
    ALIASES = "-bi"
    ELSEWHERE = "what smarthostd exim does not do"
    SMTP = "-bs, -bS"
    MAIL = "-bm, -t, addresses"
    NOTHING = "nothing"


_TASKS = {
    "be": Task.EXPAND,
    "bem": Task.EXPAND,
    "bt": Task.ROUTE,
    "bv": Task.VERIFY,
    "bvs": Task.VERIFY,
    "bP": Task.LIST,
    "brt": Task.RETRY,
    "brw": Task.REWRITE,
    "bi": Task.ALIASES,
    "bs": Task.SMTP,
    "bS": Task.SMTP,
}
_ALONE = {
    Task.LIST: {*Task} - {Task.LIST},
    Task.ROUTE: {Task.VERIFY, Task.LIST},
    Task.QUEUE: {*Task} - {Task.QUEUE, Task.ELSEWHERE},
    Task.SMTP: {*Task} - {Task.SMTP, Task.EXPAND},
    Task.MAIL: {*Task} - {Task.MAIL, Task.EXPAND},
}
"""What some tasks do not go with; a list of the queue, which only looks, goes with most."""
_LOOKS = {Task.ROUTE, Task.SMTP, Task.MAIL}

_WHOLE = re.compile(
    r"""A[cm] | B.+ | b(?: df? | e | i | I:.* | m | nq | p(?:c|r?[ua]?) | P | r[tw] | s | S | t | vs? | V | w.* )
    | C.+ | D.* | d.* | E.* | F.+ | f.+ | G.* | h\d.* | i | L.+ | m | N | n.* | O.+
    | o(?: A.+ | B\d* | d[bdfiq] | dqs | e[empqw] | i(?:true)? | m | o | PX | r.+ | s.+ | v | Y )
    | e[empqw] | p.+ | q{1,2}i?f{0,2}l?(?:G[^/]*/?)?(?:\d+[wdhms])* | q{0,2}[RS].+ | r.+
    | t | ti | tls-on-connect | U.* | v | X.+ | x | z.+ | -version | -help""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
"""Options that are whole in one word."""
_WITH_NEXT = re.compile(
    r"B | bem | b?F | bf[dlps]? | bhc? | bmalware | C | f | r | h | L | O | oA | oP | oX | or | os"
    r" | oM(?: aa? | ai | as | [imrst] ) | p | q{0,2}[RS]r?f{0,2} | X | z",
    re.VERBOSE | re.ASCII,
)
"""Options whose value is the next word."""
_EXPECTED = (
    (re.compile("oM.*", re.DOTALL), "data expected after -{}"),
    (re.compile("q{0,2}([RS]).*"), "string expected after -{}"),
    (re.compile("(O|X|oA)"), "string expected after -{}"),
    (re.compile("bf[dlps]"), "string expected after -{}"),
    (re.compile("(bF|bf|z)"), "file name expected after -{}"),
)
"""What Exim says where a value is missing, if it says more than that the option is incomplete."""
_ACTION = re.compile(r"M(?: ar | c | es | f | g | G | mad | md | rm | set | t | v[bchl] )?", re.VERBOSE)
"""Options that act on messages; the words behind them are message ids."""
_QUEUE = re.compile(r"bp.* | q.* | [RS].*", re.VERBOSE | re.DOTALL)
_ELSEWHERE = re.compile(r"bd.* | bw.* | bhc? | bF | bf.* | bI.* | bmalware", re.VERBOSE)
"""A daemon, testing what a client or a filter may do."""
_MACRO = re.compile(r"[ \t\n\v\f\r]*([A-Z]\w*)[ \t\n\v\f\r]*(?:=[ \t\n\v\f\r]*(.*))?", re.ASCII | re.DOTALL)
_ABOUT_CLIENT = {
    "oMa": "sender_host_address",
    "oMaa": "sender_host_authenticated",
    "oMai": "authenticated_id",
    "oMas": "authenticated_sender",
    "oMi": "interface_address",
    "oMr": "received_protocol",
    "oMs": "sender_host_name",
    "oMt": "sender_ident",
}
"""Options that say who a message is from, and the variables that they set."""
_PORTS = {"sender_host_address": "sender_host_port", "interface_address": "interface_port"}


class BadCommandLine(SmarthostdError):
    """What Exim says of a command line that it does not take; it exits with 1."""


class CommandLine(Struct):
    """What the words say; :func:`parse` fills it."""

    strict: bool = False
    """``--strict``."""
    task: Task = Task.NOTHING
    option: str = ""
    """The option that chose the task."""
    config: str = ""
    """One file, or several with colons between; the first that exists counts. Empty: wherever ours is."""
    macros: dict[str, str] = field(default_factory=dict)
    sender: str | None = None
    """What stood behind ``-f``; None where it was not given."""
    message_file: str = ""
    """What ``-bem`` reads."""
    dot_ends: bool = True
    """Whether a line that is a dot ends that message; ``-i`` says no."""
    to_header: bool = False
    """Whether its recipients are those in its header; ``-t`` says so."""
    as_sender: bool = False
    """``-bvs``."""
    batch: bool = False
    """``-bS``."""
    mode: str = "b"
    """When mail is delivered: ``b``, ``f``, ``i`` and ``d`` at once, ``q`` later, ``qs`` to other hosts later."""
    errors: str = "m"
    """How mistakes are told: ``m`` ``e`` ``w`` by mail, ``p`` ``q`` on standard error; ``e`` is no failure then."""
    full_name: str | None = None
    """What stood behind ``-F``."""
    gateway: bool = False
    """``-G``: for trusted callers; what a message lacks is added all the same."""
    no_delivery: bool = False
    """``-N``: everything but the delivery itself."""
    qualifies: bool = True
    """Whether bare addresses get a domain; ``-bnq`` says no."""
    parent: str = ""
    """The id of the message that this one is about (``-oMm``)."""
    values_only: bool = False
    """``-n``."""
    version: bool = False
    """``-bV``, which may stand beside a task."""
    help: bool = False
    """``--help``."""
    variables: dict[str, str] = field(default_factory=dict)
    """What ``-oMa`` and its kin set."""
    arguments: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    """All words but those about the configuration."""


def limited(text: str, limit: int, what: str) -> str:
    """Return *text*; raises BadCommandLine where it has more octets than Exim takes."""
    length = len(text.encode("utf-8", "surrogateescape"))
    if length > limit:
        raise BadCommandLine(f"exim: length limit exceeded ({length} > {limit}) for: {what}")
    return text


def parse(words: Sequence[str]) -> CommandLine:
    """Return what *words* say; raises BadCommandLine with Exim's text."""
    waiting = list(words)
    line = CommandLine()
    asked: dict[Task, str] = {}
    kept: list[str] = []
    while waiting and waiting[0].startswith("-"):
        name = waiting.pop(0)[1:]
        if name == "-":
            kept.append("--")
            break
        if name == STRICT:
            line.strict = True
            continue
        value = _value(name, waiting)
        if name[:1] not in ("C", "D"):
            kept += [f"-{name}"] if value is None else [f"-{name}", value]
        if task := _task(name):
            asked[task] = name
        _note(line, name, value)
        if task in (Task.RETRY, Task.REWRITE) or _ACTION.fullmatch(name):
            break
    line.arguments = tuple(waiting)
    line.words = (*kept, *waiting)
    line.task = _first(asked)
    line.option = asked.get(line.task, "")
    if line.task is Task.SMTP and line.sender is not None:
        raise BadCommandLine(_INCOMPATIBLE)
    if line.task is Task.NOTHING and line.arguments:
        line.task = Task.MAIL
    return line


def _value(name: str, waiting: list[str]) -> str | None:
    """Return the value that is the next word, taken from *waiting*; None where the option is whole."""
    counted = name == "oB" and waiting and waiting[0][:1].isdigit()
    if counted or (_WITH_NEXT.fullmatch(name) and waiting):
        return waiting.pop(0)
    if _WHOLE.fullmatch(name) or _ACTION.fullmatch(name):
        return None
    missing = not waiting and next((text for form, text in _EXPECTED if form.fullmatch(name)), "")
    if missing:
        raise BadCommandLine(f"exim: {missing.format(name.lstrip('q')[:1] if name[:1] in 'qRS' else name)}")
    raise _incomplete(name)


def _incomplete(name: str) -> BadCommandLine:
    return BadCommandLine(f"exim abandoned: unknown, malformed, or incomplete option -{name}")


def _task(name: str) -> Task | None:
    if _ACTION.fullmatch(name) or _QUEUE.fullmatch(name):
        return Task.QUEUE
    if name in ("t", "ti"):
        return Task.MAIL
    return _TASKS.get(name) or (Task.ELSEWHERE if _ELSEWHERE.fullmatch(name) else None)


def _first(asked: Mapping[Task, str]) -> Task:
    """Return the task to do; raises BadCommandLine where two of them do not go together."""
    listing = asked.get(Task.QUEUE, "").startswith("bp")
    for one in asked:
        others = _ALONE.get(one, set()) - (_LOOKS if listing and one is Task.QUEUE else set())
        if others.intersection(asked) and not (listing and one in _LOOKS):
            raise BadCommandLine(_INCOMPATIBLE)
    return next((task for task in Task if task in asked), Task.NOTHING)


def _note(line: CommandLine, name: str, value: str | None) -> None:
    """Keep what one option says, besides a task."""
    text = name[1:] if value is None else value
    match name[:1]:
        case "C":
            line.config = text
        case "D":
            _define(line, name)
        case "f" | "r":
            line.sender = limited(text, LONGEST_SENDER, "-f")
        case "n":
            line.values_only = True
        case "p":
            protocol, colon, host = text.partition(":")
            line.variables |= {"received_protocol": protocol} | ({"sender_host_name": host} if colon else {})
        case "o" if name in _ABOUT_CLIENT:
            _about_client(line, _ABOUT_CLIENT[name], text)
        case "b" if name == "bem":
            line.message_file = text
        case "b" if name == "bvs":
            line.as_sender = True
        case "b" if name == "bnq":
            line.qualifies = False
        case "b" if name in ("bs", "bS"):
            line.batch = name == "bS"
        case "F":
            line.full_name = text
        case "N":
            line.no_delivery = True
        case "G" if name == "G":
            line.gateway = True
        case "e":
            line.errors = name[1]
        case "o" if name[:2] == "oe":
            line.errors = name[2]
        case "o" if name[:2] == "od":
            line.mode = name[2:]
        case "o" if name == "oMm":
            line.parent = _id(text)
    line.dot_ends = line.dot_ends and name not in ("i", "oi", "oitrue", "ti")
    line.to_header = line.to_header or name in ("t", "ti")
    line.version = line.version or name in ("bV", "-version")
    line.help = line.help or name == "-help"


def _id(text: str) -> str:
    if not SHAPE.fullmatch(text):
        raise BadCommandLine("-oMm must be a valid message ID")
    return text


def _about_client(line: CommandLine, variable: str, text: str) -> None:
    """Keep what ``-oM`` says; an IPv4 address may have a port behind one more dot."""
    if variable in _PORTS and text.count(".") == 4:
        text, _, line.variables[_PORTS[variable]] = text.rpartition(".")
    if variable == "sender_host_address" and not is_address(text):
        raise BadCommandLine(f'exim abandoned: "{text}" is not an IP address')
    line.variables[variable] = limited(text, LONGEST_ARGUMENT, "-oM")


def _define(line: CommandLine, name: str) -> None:
    """Take a macro: ``-DNAME``, ``-DNAME=text``, blanks allowed round the equals sign."""
    if not re.match(r"[ \t\n\v\f\r]*[A-Z]", name[1:]):
        raise BadCommandLine("exim: macro name set by -D must start with an upper case letter")
    match = _MACRO.fullmatch(name[1:])
    if match is None:
        raise _incomplete(name)
    macro = match[1][:LONGEST_MACRO_NAME]
    if macro in line.macros:
        raise BadCommandLine("exim: duplicated -D in command line")
    if len(line.macros) >= MOST_MACROS:
        raise BadCommandLine("exim: too many -D options on command line")
    line.macros[macro] = match[2] or ""
