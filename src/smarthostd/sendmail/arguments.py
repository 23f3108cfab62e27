"""sendmail's command line, as forty years of programs use it.

Options that mean something are read; options that other sendmails have and that mean nothing here are swallowed
with their argument; anything else is an error, for what it would have meant is not known. ``-t`` adds the header's
recipients to those on the command line, as every sendmail but Exim's does.
"""

from smarthostd.sendmail.status import USAGE, Stop

_WITH_ARGUMENT = "ABCFLNORVXbefhopr"
"""Options whose argument is the rest of the word, or the next word."""
_WITH_REST = "DMdq"
"""Options whose argument is the rest of the word, or nothing."""
_FLAGS = "GIUcimnstvx"
_OF_EXIM = ("Ma", "Maa", "Mai", "Mas", "Mi", "Mm", "Mr", "Ms", "Mt", "A", "P", "X")
"""What may stand behind ``-o`` and has, in Exim, an argument that is the next word."""
_NAMES = {"mailq": "bp", "newaliases": "bi", "runq": "q"}


class Options:
    """What the command line says."""

    def __init__(self) -> None:
        self.sender: str | None = None
        self.full_name = ""
        self.from_header = False
        self.dot_ends = True
        self.mode = "m"
        """``m`` a message, ``s`` SMTP, ``i`` aliases, ``p`` the queue, ``q`` a queue run, ``v`` and ``t`` addresses."""
        self.queue = ""
        """What stands behind ``-q``."""
        self.notify = self.ret = self.envid = ""
        self.config = ""
        self.quiet = self.verbose = False
        self.recipients: list[str] = []

    def note(self, letter: str, value: str) -> None:
        """Keep what one option says; raises Stop. What is swallowed has no case here."""
        match letter:
            case "f" | "r":
                self.sender = value.removeprefix("<").removesuffix(">")
            case "F":
                self.full_name = value
            case "t":
                self.from_header = True
                self.dot_ends = self.dot_ends and value != "i"
            case "i":
                self.dot_ends = False
            case "o":
                self.dot_ends = self.dot_ends and value not in ("i", "itrue")
                self.quiet = value == "eq" or self.quiet
            case "e":
                self.quiet = value == "q"
            case "v":
                self.verbose = True
            case "N":
                self.notify = _word(value, "N")
            case "R":
                self.ret = _word(value, "R")
            case "V":
                self.envid = _word(value, "V")
            case "C":
                self.config = value
            case "b":
                self.mode = _mode(value)
            case "q":
                self.mode, self.queue = "q", value
            case "I":
                self.mode = "i"


def read(words: list[str]) -> Options:
    """Return what *words* say, the first being the program's name; raises Stop."""
    options = Options()
    name = words[0].rpartition("/")[2]
    waiting = ([f"-{_NAMES[name]}"] if name in _NAMES else []) + words[1:]
    while waiting:
        word = waiting.pop(0)
        if word == "--":
            options.recipients += waiting
            break
        if not word.startswith("-") or word == "-":
            options.recipients.append(word)
        else:
            _read_word(options, word, waiting)
    return options


def _read_word(options: Options, word: str, waiting: list[str]) -> None:
    """Read one word of options: flags may stand together (``-vti``), an argument ends it."""
    rest = word[1:]
    while rest:
        letter, rest = rest[0], rest[1:]
        if letter in _WITH_ARGUMENT:
            if not rest and not waiting:
                raise Stop(USAGE, f"the option -{letter} needs an argument")
            options.note(letter, rest or waiting.pop(0))
            if letter == "o" and rest in _OF_EXIM and waiting:
                waiting.pop(0)
            return
        if letter in _WITH_REST:
            options.note(letter, rest)
            return
        if letter not in _FLAGS:
            raise Stop(USAGE, f"the option {word} is not known")
        options.note(letter, "")


def _mode(value: str) -> str:
    if value in ("d", "df", "D"):
        raise Stop(USAGE, "-bd is not for sendmail here: `smarthostd run` is the daemon")
    if value not in ("m", "s", "p", "i", "v", "t"):
        raise Stop(USAGE, f"the option -b{value} is not there: -bm, -bs, -bp, -bi, -bv and -bt are")
    return value


def _word(value: str, letter: str) -> str:
    """Return a parameter for an SMTP command: one word of printing ASCII."""
    if not value.isascii() or not value.isprintable() or " " in value or not value:
        raise Stop(USAGE, f"the argument of -{letter} must be one word of ASCII")
    return value
