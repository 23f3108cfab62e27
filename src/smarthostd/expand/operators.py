"""The operators, ``${OP:text}`` (exim.md 5.3): a table of functions from a text to a text.

An underscore may be part of an operator's name or come before its arguments (``substr_2_3``). What is wrong with
arguments is an error when the operator is reached, an unknown operator already when it is read.
"""

from __future__ import annotations

import os
import random
import re
import stat
from collections.abc import Callable, Iterator
from datetime import timedelta

from msgspec import Struct

from smarthostd.errors import ExpansionError
from smarthostd.expand import encodings, ip_text, quoting, rfc2047, utf8
from smarthostd.expand.addresses import extract, extract_all
from smarthostd.expand.arithmetic import evaluate_expression, integer
from smarthostd.expand.nodes import Node, Nodes, State, evaluate
from smarthostd.expand.octets import hash_text, lower, nhash_text, octets, signed, substring, text_of, upper
from smarthostd.lists import separator_of, split
from smarthostd.syntax import format_time

Operator = Callable[[str], str]
Maker = Callable[[str, str], Operator]
"""(name, what stands behind its underscore) to the operator; raises what a bad argument raises."""


# -- addresses and lists


def _address(text: str) -> str:
    return "@".join(part for part in extract(text) or () if part)


def _local_part(text: str) -> str:
    return (extract(text) or ("", ""))[0]


def _domain(text: str) -> str:
    return (extract(text) or ("", ""))[1]


def _addresses(text: str) -> str:
    separator, body = ":", text.lstrip(" \t\n\v\f\r")
    if body.startswith(">"):
        separator, body = (text_of(part) for part in (octets(body)[1:2], octets(body)[2:]))
        if not separator:
            raise ExpansionError(f"output separator missing in expanding ${{addresses:{text.lstrip()}}}")
    found = extract_all(body)
    if separator.isascii():
        return joined(found, separator)
    single = [octets(part).decode("latin-1") for part in (separator, *found)]  # a character for each octet
    return text_of(joined(single[1:], single[0]).encode("latin-1"))


def joined(items: list[str], separator: str) -> str:
    """Return *items* as list text; a space keeps an empty item, or one that begins with the separator, apart."""
    text = ""
    for item in items:
        space = " " if text and (not item or item.startswith(separator)) else ""
        text += space + item.replace(separator, separator * 2) + separator
    return text[: -len(separator)] if text else ""


# -- numbers and times


def _randint(text: str) -> str:
    """Return a number below the one in *text*, for spreading load: not a secret."""
    if not text:
        raise ExpansionError('integer expected but "" found')
    limit = -1 if re.match(r"[ \t\n\v\f\r]*-0*[1-9]", text) else integer(text)
    if limit < 0:
        raise ExpansionError(f'non-negative integer expected but "{text}" found')
    return str(random.randrange(limit) if limit else 0)  # noqa: S311 - not a secret


_SECONDS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}


def _time_interval(text: str) -> str:
    if not re.fullmatch(r"[0-9]*", text):
        raise ExpansionError(f'string "{text}" is not a positive number in "time_interval" operator')
    seconds = signed(int(text[-40:] or "0"), 32)
    weeks, rest = divmod(abs(seconds), 604800)
    shown = format_time(timedelta(seconds=rest)) if rest or not weeks else ""
    return ("-" if seconds < 0 else "") + (f"{weeks}w" if weeks else "") + shown


def _time_eval(text: str) -> str:
    parts = re.findall(r"([0-9]+)([wdhms])", text) if re.fullmatch(r"(?:[0-9]+[wdhms])+", text) else []
    seconds = signed(sum(int(count[-40:]) * _SECONDS[unit] for count, unit in parts), 32)
    if not parts or seconds < 0:
        raise ExpansionError(f'string "{text}" is not an Exim time interval in "time_eval" operator')
    return str(seconds)


# -- headers and files


def _rfc2047d(text: str) -> str:
    decoded, problem = rfc2047.decode(text)
    if problem:
        raise ExpansionError(problem)
    return decoded


def _stat(text: str) -> str:
    try:
        status = os.stat(text)  # noqa: PTH116 - a text, perhaps empty
    except (OSError, ValueError) as error:
        raise ExpansionError(f"stat({text}) failed: {getattr(error, 'strerror', error)}") from error
    return (
        f"mode={status.st_mode & 0o77777:04o} smode={stat.filemode(status.st_mode)} inode={status.st_ino}"
        f" device={status.st_dev} links={status.st_nlink} uid={status.st_uid} gid={status.st_gid}"
        f" size={status.st_size} atime={int(status.st_atime)} mtime={int(status.st_mtime)} ctime={int(status.st_ctime)}"
    )


# -- operators with arguments behind an underscore

_NUMBERS = re.compile(r"(-?)(?:([0-9]+)(?:_([0-9]+))?)?")


def _counted(function: Callable[[int, int, str], str], *, signs: bool = False, one_only: bool = False) -> Maker:
    """Make an operator of a function of two numbers (the second -1 where it is not given) and a text."""

    def make(name: str, suffix: str) -> Operator:
        if "_" not in name:
            raise ExpansionError(f"missing values after {name}")
        match = _NUMBERS.fullmatch(suffix)
        if match is None or (match[1] and not signs) or (one_only and match[3]):
            raise ExpansionError(f'non-digit after underscore in "{name}"')
        first = signed(int((match[2] or "0")[-40:]), 32) * (-1 if match[1] else 1)
        second = -1 if match[3] is None else signed(int(match[3][-40:]), 32)
        return lambda text: function(0, first, text) if one_only else function(first, second, text)

    return make


def _sha(prefix: str, variants: tuple[str, ...]) -> Maker:
    def make(name: str, suffix: str) -> Operator:
        variant = suffix if "_" in name else "256"
        if variant not in variants:
            raise ExpansionError(f"unrecognised {prefix.rstrip('_')} variant")
        return encodings.digest(f"{'sha' if prefix == 'sha2' else prefix}{variant}", capitals=True)

    return make


_PLAIN: dict[str, Operator] = {
    "lc": lower, "uc": upper, "strlen": lambda text: str(len(octets(text))),
    "md5": encodings.digest("md5", capitals=False), "sha1": encodings.digest("sha1", capitals=True),
    "base64": encodings.to_base64, "str2b64": encodings.to_base64, "base64d": encodings.from_base64,
    "base62": encodings.to_base62, "base62d": encodings.from_base62,
    "base32": encodings.to_base32, "base32d": encodings.from_base32,
    "hex2b64": encodings.hex2b64, "hexquote": encodings.hexquote,
    "quote_local_part": quoting.quote_local_part, "rxquote": quoting.rxquote,
    "escape": quoting.escape, "escape8bit": quoting.escape8bit,
    "address": _address, "local_part": _local_part, "domain": _domain, "addresses": _addresses,
    "listcount": lambda text: str(len(split(text))),
    "randint": _randint, "eval": lambda text: str(evaluate_expression(text)),
    "eval10": lambda text: str(evaluate_expression(text, decimal=True)),
    "time_interval": _time_interval, "time_eval": _time_eval,
    "reverse_ip": ip_text.reverse_ip, "ipv6norm": ip_text.ipv6norm, "ipv6denorm": ip_text.ipv6denorm,
    "rfc2047": rfc2047.encode, "rfc2047d": _rfc2047d, "from_utf8": utf8.from_utf8, "utf8clean": utf8.utf8clean,
    "stat": _stat,
}  # fmt: skip
_WITH_ARGUMENTS: dict[str, Maker] = {
    **dict.fromkeys(("substr", "s"), _counted(substring, signs=True)),
    **dict.fromkeys(("length", "l"), _counted(substring, one_only=True)),
    **dict.fromkeys(("hash", "h"), _counted(hash_text)), **dict.fromkeys(("nhash", "nh"), _counted(nhash_text)),
    "mask": ip_text.masked, "sha2": _sha("sha2", ("256", "384", "512")), "sha256": _sha("sha2", ("256", "384", "512")),
    "sha3": _sha("sha3_", ("224", "256", "384", "512")),
    "quote": lambda name, suffix: quoting.quote_for(suffix) if "_" in name else quoting.quote,
}  # fmt: skip
_OUT_OF_SCOPE = frozenset({
    "utf8_domain_from_alabel", "utf8_domain_to_alabel", "utf8_localpart_from_alabel", "utf8_localpart_to_alabel",
})  # fmt: skip


# -- nodes


class Operation(Struct, frozen=True):
    """An operator on the text behind its colon."""

    operator: Operator
    argument: Nodes

    def put(self, out: list[str], state: State) -> None:
        """Append the result."""
        out.append(self.operator(evaluate(self.argument, state)))


class ExpandAgain(Struct, frozen=True):
    """``${expand:text}``: the one place where a value is parsed as an expansion because somebody says so."""

    argument: Nodes

    def put(self, out: list[str], state: State) -> None:
        """Append the expansion of the text."""
        text = evaluate(self.argument, state)
        try:
            out.append(state.expand(text))
        except ExpansionError as error:
            raise type(error)(f'internal expansion of "{text}" failed: {error}') from error


class NamedList(Struct, frozen=True):
    """``${listnamed:name}``: a named list's items, of any kind or of the one in the suffix.

    They are as written, not expanded, with what named lists among them hold in their places; separators between them
    are colons, and colons inside them are doubled only where the list had another separator.
    """

    argument: Nodes
    kind: str | None
    """``d``, ``h``, ``a`` or ``l``; None for any."""

    def put(self, out: list[str], state: State) -> None:
        """Append the list."""
        name = evaluate(self.argument, state)
        if self.kind is not None and self.kind not in _LIST_KINDS:
            raise ExpansionError('bad suffix on "list" operator')
        out.append(" : ".join(self._items(name, state, 0)))

    def _items(self, name: str, state: State, depth: int) -> Iterator[str]:
        facts = state.expander.facts
        lists = {
            "a": facts.addresslists, "d": facts.domainlists, "h": facts.hostlists, "l": facts.localpartlists,
        }  # fmt: skip
        name = name.removeprefix("+")
        kinds = lists if self.kind is None else (self.kind,)
        text = next((lists[kind][name] for kind in kinds if name in lists[kind]), None)
        if text is None:
            raise ExpansionError(f'"{name}" is not a {_LIST_KINDS[self.kind] if self.kind else ""}named list')
        if depth > state.expander.limits.depth:
            raise ExpansionError(f'named list "{name}" contains itself')
        state.produced(len(text))
        separator = separator_of(text)[0]
        for item in split(text):
            if item.startswith("+"):
                yield " : ".join(self._items(item, state, depth + 1))
            elif separator == ":":
                yield item
            else:
                yield item.replace(":", "::").replace(separator * 2, separator)


_LIST_KINDS = {"a": "address ", "d": "domain ", "h": "host ", "l": "localpart "}


def _failing(error: ExpansionError) -> Operator:
    def operate(text: str) -> str:
        raise type(error)(str(error))

    return operate


def find_operator(name: str) -> Callable[[Nodes], Node] | None:
    """Return what makes a node for the operator *name* from its argument, or None for an unknown one."""
    base, underscore, suffix = name.partition("_")
    operator = _PLAIN.get(name) or (None if base in _WITH_ARGUMENTS else _PLAIN.get(base))
    if base in _WITH_ARGUMENTS and operator is None:
        try:
            operator = _WITH_ARGUMENTS[base](name, suffix)
        except ExpansionError as error:
            operator = _failing(error)
    if operator is not None:
        chosen = operator
        return lambda argument: Operation(chosen, argument)
    if base == "expand":
        return ExpandAgain
    if base == "listnamed":
        return lambda argument: NamedList(argument, suffix[:1] if underscore else None)
    return None


def unknown(name: str) -> str:
    """Return what is wrong with an operator that :func:`find_operator` does not know."""
    if name in _OUT_OF_SCOPE:
        return f'the expansion operator "{name}" is not in smarthostd'
    return f'unknown expansion operator "{name}"'
