"""Values by their kind, as Exim reads them: what is accepted, and what it means."""

from __future__ import annotations

from datetime import timedelta

import pytest

from smarthostd.config.exim.values import Malformed, read
from smarthostd.config.settings import DIFFERENCES
from smarthostd.options import Kind
from smarthostd.reading import read_port
from tests.config.conftest import LoadText

GOOD = {
    "true": ("bool", "TRUE", True),
    "no": ("bool", "No", False),
    "nothing behind the equals sign is true": ("bool", "", True),
    "decimal": ("integer", "+10", 10),
    "hexadecimal": ("integer", "0x1F", 31),
    "octal": ("integer", "010", 8),
    "negative": ("integer", "-5", -5),
    "K": ("integer", "10k", 10240),
    "M": ("size", "50M", 50 << 20),
    "the smallest": ("integer", "-2G", -(1 << 31)),
    "kilobytes without a suffix": ("kilobytes", "511", 511),
    "kilobytes with one": ("kilobytes", "10K", 10),
    "a mode": ("octal", "600", 0o600),
    "a load": ("load", "1.5", "1.5"),
    "a load without decimals": ("load", "10.", "10."),
    "a time": ("time", "1h30m", "1h30m"),
    "units in any order": ("time", "1s1h1s", "1s1h1s"),
    "times": ("times", "1h : 2h", ["1h", "2h"]),
    "no times": ("times", "", []),
    "text as it is": ("string", 'a"b\\c # d', 'a"b\\c # d'),
    "quoted": ("string", '"hello  "', "hello  "),
    "escapes": ("string", r'"a\x41\101\q\\\"\t"', 'aAAq\\"\t'),
    "octal escapes are octets": ("string", r'"caf\303\251"', "café"),
    "an escaped quote at the end": ("string", '"a\\"', 'a"'),
    "no users": ("users", "", ""),
    "users by number": ("users", "0 : root", "0 : root"),
}


@pytest.mark.parametrize(("kind", "text", "value"), GOOD.values(), ids=GOOD)
def test_what_a_value_means(kind: str, text: str, value: object) -> None:
    """Plain values, for the model to judge."""
    assert read(Kind(kind), "x", text) == value


def test_a_boolean_may_be_an_expansion_where_its_option_says_so() -> None:
    """Exim's ``more`` and ``unseen``; any other boolean refuses it."""
    text = "${if eq{$local_part}{u}{yes}{no}}"
    assert read(Kind("bool", expanded=True), "more", text) == text
    assert read(Kind("bool", expanded=True), "more", "no") is False
    with pytest.raises(Malformed):
        read(Kind("bool"), "x", text)


BAD = {
    "1 is not true": ("bool", "1", '"" is not a valid value for the "x" option'),
    "text behind a boolean": ("bool", "yes x", 'extra characters follow "yes" for boolean option x'),
    "no number": ("integer", "K", "integer expected for x"),
    "a blank before the suffix": ("integer", "10 K", "extra characters follow integer value for x"),
    "two suffixes": ("integer", "10M5", "extra characters follow integer value for x"),
    "8 is no octal digit": ("integer", "08", "extra characters follow integer value for x"),
    "too large": ("integer", "2G", 'absolute value of integer "2G" is too large (overflow)'),
    "a comment": ("integer", "10 # c", "extra characters follow integer value for x (# is comment only at line start)"),
    "9 is no octal digit of a mode": ("octal", "0999", "extra characters follow octal integer value for x"),
    "a mode of letters": ("octal", "rw", "octal integer expected for x"),
    "a load of letters": ("load", "abc", "fixed-point number expected for x"),
    "a load below zero": ("load", "-1", 'integer "-1" is too large (overflow)'),
    "a bare number is no time": ("time", "90", "invalid time value for x"),
    "an empty time": ("time", "", "invalid time value for x"),
    "eleven times": ("times", ":".join(f"{n}h" for n in range(1, 12)), "too many time values for x"),
    "times that do not grow": ("times", "1h:1h", "time value out of order for x"),
    "an empty item": ("times", "1h::2h", "invalid time value for x"),
    "a quote alone": ("string", '"', "missing quote at end of string value for x"),
    "text behind a quote": ("string", '"a" b', "extra characters follow string value for x"),
    "a user who is not there": ("users", "nosuchuser", "user nosuchuser was not found"),
    "a group that is not there": ("groups", "root : nosuchgroup", "group nosuchgroup was not found"),
}


@pytest.mark.parametrize(("kind", "text", "exim"), BAD.values(), ids=BAD)
def test_what_is_no_value(kind: str, text: str, exim: str) -> None:
    """Exim's words."""
    with pytest.raises(Malformed) as caught:
        read(Kind(kind), "x", text)
    assert str(caught.value) == exim


def test_values_reach_the_settings(load_text: LoadText) -> None:
    """From the file's text to the model's types."""
    settings = load_text(
        "message_size_limit = 10M\nno_queue_only\ndelay_warning = 4h:1d\nqueue_only_load = 1.2345\n"
        "check_spool_space = 5M\nauto_thaw = 1h30m\nexim_strict = all\nsmtp_accept_max_per_host =\n"
    ).settings
    assert settings.message_size_limit == 10 << 20
    assert settings.queue_only is False
    assert settings.delay_warning == (timedelta(hours=4), timedelta(days=1))
    assert settings.queue_only_load == 1234
    assert settings.check_spool_space == 5 << 20
    assert settings.auto_thaw == timedelta(minutes=90)
    assert settings.exim_strict == DIFFERENCES - {4, 5}
    assert settings.smtp_accept_max_per_host == 0


@pytest.mark.parametrize(("text", "port"), [("25", 25), ("65535", 65535), ("smtp", 25)])
def test_a_port(text: str, port: int) -> None:
    assert read_port(text) == port


@pytest.mark.parametrize("text", ["65536", "smpt", "", "-1", "²", "\udcff", "smtp\0"])
def test_what_is_no_port(text: str) -> None:
    with pytest.raises(ValueError, match="is no port; expected a number to 65535, or a name of /etc/services"):
        read_port(text)
