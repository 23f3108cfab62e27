"""MAIL and RCPT taken apart: paths and parameters (RFC 5321 4.1.2, RFC 3461, RFC 6531), without a socket."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from msgspec import Struct, field

from smarthostd.address import NULL_SENDER, Address, AddressError
from smarthostd.envelope import Recipient
from smarthostd.errors import Refused
from smarthostd.expand.addresses import Mailbox, Mailboxes, NotAnAddress
from smarthostd.reply import Reply
from smarthostd.syntax import xtext

_BRACKETED = re.compile(r"<(?:@[^<>:\s]+(?:,@[^<>:\s]+)*:)?((?:\"(?:\\.|[^\"\\])*\"|[^\"<>])*)>\s*(.*)", re.DOTALL)
_BARE = re.compile(r"([^\s<>]+)\s*(.*)", re.DOTALL)
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*", re.ASCII)
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*", re.ASCII)
_HEX = re.compile(rb"\+([0-9A-F]{2})")
_ORCPT = re.compile(r"[A-Za-z0-9-]+;.+")
_NOTIFY = frozenset({"SUCCESS", "FAILURE", "DELAY"})
_ORCPT_LIMIT = 500
_ENVID_LIMIT = 100
_MAIL_KEYS = frozenset({"SIZE", "BODY", "SMTPUTF8", "RET", "ENVID", "AUTH"})
_LOCAL_MAIL_KEYS = _MAIL_KEYS | {"XLOCAL"}
_RCPT_KEYS = frozenset({"NOTIFY", "ORCPT"})
_REMEMBERED = 256
"""Arguments that are known without being read again: programs write to the same few. (12 us of 600 a message.)"""


class MailFrom(Struct, frozen=True):
    """What MAIL said."""

    sender: Address
    size: int = 0
    body: str = ""
    smtputf8: bool = False
    ret: str = ""
    envid: str = ""
    command_line: bool = False
    """XLOCAL: the message was given to a command line as it is (a word of our own, for unix sockets)."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What XLOCAL says of it, by the names of variables: ``received_protocol`` and others (``exim -oMr``)."""


@lru_cache(_REMEMBERED)
def mail_from(argument: str, size_limit: int, *, local: bool = False) -> MailFrom:
    """Read the argument of MAIL, which *local* programs may end with XLOCAL; raises Refused."""
    path, rest = _path("FROM:", argument)
    if not rest:
        return MailFrom(_address(path, False) if path else NULL_SENDER)
    given = _parameters(path, rest, _LOCAL_MAIL_KEYS if local else _MAIL_KEYS)
    smtputf8 = "SMTPUTF8" in given
    sender = _address(path, smtputf8) if path else NULL_SENDER
    size = _size(given.get("SIZE", "0"), size_limit)
    body = given.get("BODY", "").upper()
    if body not in ("", "7BIT", "8BITMIME"):
        raise Refused(Reply(501, "5.5.4 BODY must be 7BIT or 8BITMIME"))
    ret = given.get("RET", "").upper()
    if ret not in ("", "FULL", "HDRS"):
        raise Refused(Reply(501, "5.5.4 RET must be FULL or HDRS"))
    envid = given.get("ENVID", "")
    if not _XTEXT.fullmatch(envid) or len(envid) > _ENVID_LIMIT:
        raise Refused(Reply(501, "5.5.4 ENVID must be xtext of at most 100 characters"))
    return MailFrom(sender, size, body, smtputf8, ret, envid, "XLOCAL" in given, _facts(given.get("XLOCAL", "")))


def facts_parameter(facts: Mapping[str, str]) -> str:
    """Return XLOCAL with *facts*, for MAIL: lines of ``name=value``, as xtext."""
    text = xtext("\n".join(f"{name}={value}" for name, value in facts.items()))
    return f"XLOCAL={text}" if text else "XLOCAL"


def _facts(encoded: str) -> dict[str, str]:
    """Return what :func:`facts_parameter` was given; raises Refused."""
    if not _XTEXT.fullmatch(encoded):
        raise Refused(Reply(501, "5.5.4 XLOCAL must be xtext"))
    octets = _HEX.sub(lambda match: bytes([int(match[1], 16)]), encoded.encode("ascii"))
    text = octets.decode("utf-8", "surrogateescape")
    return {name: value for name, _, value in (line.partition("=") for line in text.split("\n")) if name and value}


@lru_cache(_REMEMBERED)
def rcpt_to(argument: str, smtputf8: bool) -> Recipient:
    """Read the argument of RCPT; raises Refused."""
    path, rest = _path("TO:", argument)
    if not path:
        raise Refused(Reply(501, "5.1.3 <>: missing or malformed local part"))
    address = _address(path, smtputf8)
    if not rest:
        return Recipient(address)
    given = _parameters(path, rest, _RCPT_KEYS)
    notify = given.get("NOTIFY", "").upper()
    words = set(notify.split(",")) if notify else set()
    if "NOTIFY" in given and not (words == {"NEVER"} or (words and words <= _NOTIFY)):
        raise Refused(Reply(501, "5.5.4 NOTIFY must be NEVER, or some of SUCCESS, FAILURE, DELAY"))
    orcpt = given.get("ORCPT", "")
    if "ORCPT" in given and (not _ORCPT.fullmatch(orcpt) or len(orcpt) > _ORCPT_LIMIT):
        raise Refused(Reply(501, "5.5.4 ORCPT must be a type, a semicolon and xtext"))
    return Recipient(address, notify, orcpt)


def _path(keyword: str, argument: str) -> tuple[str, str]:
    """Return what stands between the brackets, without a source route, and the parameters."""
    if argument[: len(keyword)].upper() != keyword:
        raise Refused(Reply(501, f"5.5.4 the command must go on with {keyword}<address>"))
    text = argument[len(keyword) :].lstrip()
    match = _BRACKETED.fullmatch(text) or (None if "<" in text or ">" in text else _BARE.fullmatch(text))
    if match is None:
        complaint = "'>' missing at end of address" if text.startswith("<") and ">" not in text else "malformed address"
        raise Refused(Reply(501, f"5.1.3 {text[:200]}: {complaint}"))
    return match[1], match[2].strip()


def _address(path: str, smtputf8: bool) -> Address:
    try:
        address = Address.parse(path)
    except AddressError as error:
        raise Refused(Reply(501, f"5.1.3 <{path[:200]}>: {error}")) from error
    if not smtputf8 and not path.isascii():
        raise Refused(Reply(553, "5.6.7 an address that is not ASCII needs the SMTPUTF8 parameter on MAIL"))
    return address


def _parameters(path: str, text: str, known: frozenset[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for word in text.split():
        key, equals, value = word.partition("=")
        key = key.upper()
        if not _KEY.fullmatch(key) or key in given or (equals and not value):
            raise Refused(Reply(501, f"5.5.4 <{path[:200]}> {word[:100]}: malformed parameter"))
        if key not in known:
            raise Refused(Reply(555, f"5.5.4 the parameter {key[:50]} is not known here"))
        given[key] = value
    return given


def _size(text: str, limit: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        raise Refused(Reply(501, "5.5.4 SIZE must be a number of octets"))
    size = int(text)
    if limit and size > limit:
        raise Refused(Reply(552, "5.3.4 Message size exceeds maximum permitted"))
    return size


def read_address(text: str, *, may_be_null: bool, literals: bool) -> Address:
    """Return the address in *text*, read as Exim reads it; raises NotAnAddress. *literals* may be its domain."""
    found = Mailboxes(utf8_domains=True).read(text, may_be_null=may_be_null)
    if not found.local_part:
        return NULL_SENDER
    if found.domain.startswith("[") and not literals:
        raise NotAnAddress("domain literals not allowed")
    return as_address(found)


def as_address(found: Mailbox) -> Address:
    """Return *found*; raises NotAnAddress for what Exim would take, and no SMTP command may hold."""
    try:
        return Address.parse(str(found))
    except AddressError as error:
        raise NotAnAddress(str(error)) from error
