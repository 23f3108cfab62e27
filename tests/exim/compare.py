"""Each kind of random input, asked of Exim and of us; what differs is told in its smallest form."""

from __future__ import annotations

import dataclasses
import io
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from itertools import starmap
from pathlib import Path
from random import Random

from smarthostd.assembly import build_language
from smarthostd.cli.exim.dispatch import run
from smarthostd.cli.exim.process import Process
from smarthostd.config import load
from smarthostd.errors import ExpansionError
from smarthostd.expand import Expander
from tests.exim import deliveries as pairs
from tests.exim import expansions as expansion_grammar
from tests.exim import messages as message_grammar
from tests.exim import patterns as pattern_grammar
from tests.exim import routing, wholes
from tests.exim.exim import AT_ONCE, SENDER, Exim
from tests.exim.expansions import Maker as GrammarMaker
from tests.exim.hosts import ADDRESSES, Hosts, made
from tests.exim.made import Maker
from tests.exim.retries import Maker as RetryMaker
from tests.exim.smaller import smallest

FILE = 'one: 1\na: k=v a="x y"\n"q k": quoted\n*.b.example: wild\n*@h.example: at\n*: star\n'
LISTED = "a.example\n!x.b.example # a comment\n*.b.example\nroot\n\n10.1.2.3\nboss@b.example\n"
MESSAGES_AT_ONCE = 40
HOSTS_AT_ONCE = 60
RETRIES_AT_ONCE = 10
_KNOWN = (
    re.compile(r"Failed: ( inside .*)?"),  # Exim forgot to say anything: an unknown comparator, ${env without braces
    re.compile(r"Failed: unrecognised boolean value .*", re.DOTALL),  # it looks even where it is skipped
    re.compile(r"Failed: unable to complete match against .*"),  # behind it stands an earlier trouble, or NULL
)
"""Answers of Exim's whose text says nothing of this question; each says why."""
_ALL_BUT_ZEROS = re.compile(r"(?:.*[^0-9a-f:])?:(?::[0-9a-f:]*)?", re.DOTALL)
_BAD_PATTERN = 'Failed: regular expression error in "'


@dataclasses.dataclass(frozen=True)
class Difference:
    """One question that was answered in two ways."""

    question: str
    exim: str
    ours: str

    def __str__(self) -> str:
        return f"{self.question}\n  Exim: {self.exim!r}\n  we:   {self.ours!r}"


def expansions(directory: Path, count: int, seed: int) -> Iterator[Difference]:
    """Compare random expansions."""
    (directory / "f").write_text(FILE)
    grammar = {**expansion_grammar.GRAMMAR, "file": (str(directory / "f"),)}
    yield from _texts(directory, count, GrammarMaker(Random(seed), grammar).text)


def patterns(directory: Path, count: int, seed: int) -> Iterator[Difference]:
    """Compare random regular expressions."""
    yield from _texts(directory, count, GrammarMaker(Random(seed), pattern_grammar.GRAMMAR, "question").text)


def lists(directory: Path, count: int, seed: int) -> Iterator[Difference]:
    """Compare random lists of every kind, with lookups, files and named lists in them."""
    yield from _texts(directory, count, _maker(directory, seed).list_condition)


def hosts(directory: Path, count: int, seed: int) -> Iterator[Difference]:
    """Compare random host lists, for one address after another."""
    random = Random(seed)
    both = Hosts(directory)
    ours = both.ours()
    for start in range(0, count, HOSTS_AT_ONCE):
        address = random.choice(ADDRESSES)
        texts = [made(random, directory) for _ in range(min(HOSTS_AT_ONCE, count - start))]
        for text, answer in zip(texts, both.exim(texts, address), strict=True):
            own = ours(address, text)
            if own != answer:
                yield Difference(f"{address} in {text}", answer, own)


def lookups(directory: Path, count: int, seed: int) -> Iterator[Difference]:
    """Compare random keys looked up in random files."""
    maker = _maker(directory, seed)
    for number in range(0, count, AT_ONCE // 3):
        (directory / "f").write_text(maker.file_content())
        for difference in _texts(directory, min(AT_ONCE // 3, count - number), maker.lookup):
            shown = f"{difference.question} where the file holds\n{(directory / 'f').read_text()}"
            yield dataclasses.replace(difference, question=shown)


def messages(directory: Path, count: int, seed: int) -> Iterator[Difference]:
    """Compare what random expansions say of random messages."""
    random = Random(seed)
    (directory / "f").write_text(FILE)
    maker = GrammarMaker(random, {**message_grammar.GRAMMAR, "file": (str(directory / "f"),)}, "question")
    exim = Exim(directory)
    path = directory / "message"
    for start in range(0, count, MESSAGES_AT_ONCE):
        path.write_bytes(message_grammar.message(random))
        texts = [maker.text() for _ in range(min(MESSAGES_AT_ONCE, count - start))]
        for text, answer in zip(texts, exim.expanded(texts, path), strict=True):
            own = _printed("-C", str(directory / "exim.conf"), "-f", SENDER, "-bem", str(path), text).removesuffix("\n")
            if not _agree(answer, own) and not _agree(exim.expanded([text], path)[0], own):
                yield Difference(f"{text} of {path.read_bytes()!r}", str(answer), own)


def retries(directory: Path, count: int, seed: int) -> Iterator[Difference]:
    """Compare random retry rules, asked a few times each."""
    (directory / "f").write_text(FILE)
    maker = RetryMaker(Random(seed), str(directory / "f"))
    for start in range(0, count, RETRIES_AT_ONCE):
        rules = maker.rules()
        questions = [["-brt", *maker.question()] for _ in range(min(RETRIES_AT_ONCE, count - start))]
        for question, (exims, own) in zip(questions, _both(directory, rules, questions), strict=True):
            if exims != own:
                yield _with_fewer_rules(directory, rules, question)


def _both(directory: Path, rules: Sequence[str], questions: Sequence[Sequence[str]]) -> list[tuple[str, str]]:
    exim = Exim(directory, "\nbegin retry\n" + "".join(f"{rule}\n" for rule in rules))
    own = [_printed("-C", str(directory / "exim.conf"), *question) for question in questions]
    return list(zip(exim.each(questions), own, strict=True))


def _with_fewer_rules(directory: Path, rules: list[str], question: list[str]) -> Difference:
    for rule in tuple(rules):
        [(exims, own)] = _both(directory, [other for other in rules if other is not rule], [question])
        if exims != own:
            rules.remove(rule)
    [(exims, own)] = _both(directory, rules, [question])
    return Difference("\n".join((f"{shlex.join(question)} with", *rules)), exims, own)


def _printed(*words: str) -> str:
    """Return what ``smarthostd exim --strict`` prints."""
    out = io.StringIO()
    run(["--strict", *words], Process(io.StringIO(), out, out, {}))
    return out.getvalue()


def routes(directory: Path, count: int, seed: int) -> Iterator[Difference]:
    """Compare random routers sections with a name service, a dozen addresses for each."""
    yield from starmap(Difference, routing.routes(directory, count, seed))


def files(directory: Path, count: int, seed: int) -> Iterator[Difference]:
    """Compare random configuration files, one question for each."""
    yield from starmap(Difference, wholes.files(directory, count, seed))


def deliveries(directory: Path, count: int, seed: int) -> Iterator[Difference]:
    """Compare random deliveries: what is logged, said, answered and received."""
    yield from starmap(Difference, pairs.deliveries(directory, count, seed))


KINDS: dict[str, Callable[[Path, int, int], Iterator[Difference]]] = {
    "expansions": expansions, "messages": messages, "patterns": patterns, "lists": lists, "hosts": hosts,
    "lookups": lookups, "retries": retries, "routes": routes, "files": files, "deliveries": deliveries,
}  # fmt: skip


def _maker(directory: Path, seed: int) -> Maker:
    for name, text in (("f", FILE), ("listed", LISTED)):
        (directory / name).write_text(text)
    folder = directory / "entries"
    folder.mkdir(exist_ok=True)
    (folder / "a.example").touch()
    return Maker(Random(seed), str(directory / "f"), str(folder), str(directory / "listed"))


# -- texts


def _texts(directory: Path, count: int, make: Callable[[], str]) -> Iterator[Difference]:
    exim = Exim(directory)
    language = _language(directory, exim)
    for start in range(0, count, AT_ONCE):
        texts = [make() for _ in range(min(AT_ONCE, count - start))]
        for text, answer in zip(texts, exim.expanded(texts), strict=True):
            if _agree(answer, ours(language, text)):
                continue
            # Exim's $1 and $value outlive a text that failed: asked alone it may agree.
            if not _agree(exim.expanded([text])[0], ours(language, text)):
                yield _smallest(exim, language, text)


def _language(directory: Path, exim: Exim) -> Expander:
    path = directory / "ours.conf"
    path.write_text(exim.configuration)
    return build_language(load(path, {}, lenient=True).settings).expander


def ours(language: Expander, text: str) -> str:
    """Return what we answer, in the form in which ``-be`` prints it."""
    try:
        return language.expand(text)
    except ExpansionError as error:
        return f"Failed: {error}"


def _outcomes(exim: str | None, own: str) -> tuple[bool, bool]:
    """Return who fails: a smaller question must make the same kind of difference."""
    return str(exim).startswith("Failed: "), own.startswith("Failed: ")


def _agree(exim: str | None, own: str) -> bool:
    if exim is None or exim == own or "not in smarthostd" in own:  # what we do not have says so
        return True
    if _ALL_BUT_ZEROS.fullmatch(exim) and own.startswith(exim):
        return True  # ${ipv6norm counts the octets of an address with zeros in front wrongly: what follows is lost
    if exim.startswith('Failed: integer expected but "') and own.startswith("Failed: "):
        return True  # what ${sort said of a key that is no number, and nobody minded, stands where nothing else is said
    if exim.startswith("Failed: iconv_open(") and not own.startswith("Failed: "):
        return True  # a name of a charset that Python's codecs know and iconv does not
    if exim.startswith(_BAD_PATTERN) and own.startswith(_BAD_PATTERN):
        return True  # which of several mistakes is found first, and where, is the library's affair
    return own.startswith("Failed: ") and any(known.fullmatch(exim) for known in _KNOWN)


def _smallest(exim: Exim, language: Expander, text: str) -> Difference:
    def first_that_differs(texts: Sequence[str]) -> str | None:
        # A line that begins with a capital may define a macro: then nothing is printed.
        asked = [shorter for shorter in texts if shorter and not shorter[0].isupper() and not shorter.startswith("-")]
        for shorter, answer in zip(asked, exim.expanded(asked), strict=True):
            if _outcomes(answer, ours(language, shorter)) == outcomes and not _agree(answer, ours(language, shorter)):
                return shorter if not _agree(exim.expanded([shorter])[0], ours(language, shorter)) else None
        return None

    outcomes = _outcomes(exim.expanded([text])[0], ours(language, text))

    text = smallest(text, first_that_differs)
    return Difference(text, str(exim.expanded([text])[0]), ours(language, text))
