"""A report's parts, read back by the standard library's parser as a mail program would."""

from __future__ import annotations

from pathlib import Path

import pytest

from smarthostd.bounce import report
from smarthostd.bounce.report import Limits
from smarthostd.bounce.text import Kind
from smarthostd.outcome import Deferred, Delivered, Failed
from tests.bounce.house import (
    HOST,
    ORIGINAL,
    blocks,
    house,
    octets,
    parts,
    put_off,
    read,
    recipient,
    refused,
    relayed,
    result,
    text_of,
)

BAD = recipient("bad@any.example", orcpt="rfc822;Bad+40any.example")
NO_SUCH_USER = refused("550 5.1.1 no such user", "RCPT TO:<bad@any.example>")


async def test_the_header_is_that_of_exim(tmp_path: Path) -> None:
    worse = recipient("worse@any.example")
    async with house(tmp_path, errors_reply_to="postmaster@example.net") as one:
        message = one.message(BAD, worse, envid="QQ+2B1")
        (bounce,) = one.tell(message, result(BAD, NO_SUCH_USER), result(worse, NO_SUCH_USER)).messages
    parsed = read(bounce)
    assert parsed["X-Failed-Recipients"] == "worse@any.example,  bad@any.example"
    assert parsed["Reply-To"] == "postmaster@example.net"
    assert parsed["Auto-Submitted"] == "auto-replied"
    assert parsed["From"] == "Mail Delivery System <Mailer-Daemon@example.net>"
    assert parsed["Subject"] == "Mail delivery failed: returning message to sender"
    assert parsed["References"] == "<test@example.net>"
    assert parsed.get_content_type() == "multipart/report"
    assert blocks(bounce)[0]["Original-Envelope-ID"] == "QQ+1"


async def test_the_text_says_what_it_means_and_then_what_the_host_said(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        (bounce,) = one.tell(one.message(BAD), result(BAD, NO_SUCH_USER)).messages
    assert text_of(bounce).endswith(
        "  bad@any.example\n"
        "    There is no such mailbox at that domain: look for a mistake in the\n"
        "    address.\n"
        "    host smarthost.isp.example [127.0.0.10]\n"
        "    SMTP error from remote mail server after RCPT TO:<bad@any.example>:\n"
        "    550 5.1.1 no such user\n"
    )


async def test_the_part_for_programs_has_the_servers_own_code(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        (bounce,) = one.tell(one.message(BAD), result(BAD, NO_SUCH_USER)).messages
    head, fields = blocks(bounce)
    assert head["Reporting-MTA"] == "dns; client.example.net"
    assert fields["Original-Recipient"] == "rfc822;Bad@any.example"
    assert fields["Final-Recipient"] == "rfc822;bad@any.example"
    assert fields["Action"] == "failed"
    assert fields["Status"] == "5.1.1"
    assert fields["Remote-MTA"] == "dns; smarthost.isp.example"
    assert fields["Diagnostic-Code"] == "smtp; 550 5.1.1 no such user"


LAST = put_off("450 4.2.1 try later", "RCPT TO:<bad@any.example>")


@pytest.mark.parametrize(
    ("kind", "outcome", "status"),
    [
        pytest.param(Kind.FAILED, refused("550 no", "DATA"), "5.0.0", id="a reply without an enhanced code"),
        pytest.param(Kind.FAILED, refused("550 4.1.1 no", "DATA"), "5.0.0", id="a code of another class"),
        pytest.param(Kind.FAILED, Failed("Unrouteable address"), "5.0.0", id="no reply"),
        pytest.param(
            Kind.FAILED, Failed("retry timeout exceeded", HOST, LAST.reply, LAST), "4.2.1", id="expired, with a code"
        ),
        pytest.param(
            Kind.FAILED,
            Failed("retry timeout exceeded", last=Deferred("Connection refused", 111)),
            "4.4.7",
            id="expired",
        ),
        pytest.param(Kind.DELAYED, LAST, "4.2.1", id="delayed"),
        pytest.param(Kind.DELAYED, refused("550 5.1.1 no", "DATA"), "4.0.0", id="a delay is never a failure"),
        pytest.param(Kind.RELAYED, relayed(), "2.0.0", id="relayed"),
    ],
)
def test_status_codes(kind: Kind, outcome: Failed | Deferred | Delivered, status: str) -> None:
    assert f"\nStatus: {status}\n" in report.status_fields(kind, result(BAD, outcome))


async def test_a_reply_of_several_lines_keeps_them(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        failed = refused("550 5.7.1 first\nsecond", "end of data")
        (bounce,) = one.tell(one.message(BAD), result(BAD, failed)).messages
    assert text_of(bounce).endswith("end of data:\n    550-5.7.1 first\n    550 second\n")
    assert blocks(bounce)[1]["Diagnostic-Code"].split() == ["smtp;", "550-5.7.1", "first", "550", "second"]


async def test_a_servers_control_characters_do_not_reach_the_report(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        failed = refused("550 \x1b[2J\r\nX-Evil: yes\n.\nMAIL", "end of data")
        (bounce,) = one.tell(one.message(BAD), result(BAD, failed)).messages
    content = octets(bounce)
    assert b"\x1b" not in content
    assert b"\nX-Evil" not in content
    assert b"\n." not in content


async def test_an_alias_is_named_and_a_hidden_child_is_not(tmp_path: Path) -> None:
    list_ = recipient("list@local.example")
    async with house(tmp_path) as one:
        message = one.message(list_)
        (named,) = one.tell(message, result(list_, NO_SUCH_USER, "b@two.example")).messages
        (hidden,) = one.tell(message, result(list_, NO_SUCH_USER, "b@two.example", hidden=True)).messages
    assert "  b@two.example\n    (generated from list@local.example)\n" in text_of(named)
    assert "  an undisclosed address\n    (generated from list@local.example)\n" in text_of(hidden)
    assert "two.example" not in text_of(hidden)
    assert read(hidden)["X-Failed-Recipients"] is None
    assert blocks(named)[1]["Final-Recipient"] == "rfc822;list@local.example"


async def test_x_failed_recipients_begins_anew_every_fifty(tmp_path: Path) -> None:
    many = [recipient(f"user{number}@any.example") for number in range(120)]
    async with house(tmp_path) as one:
        (bounce,) = one.tell(one.message(*many), *(result(each, NO_SUCH_USER) for each in many)).messages
    assert [len(field.split(",")) for field in read(bounce).get_all("X-Failed-Recipients")] == [50, 50, 20]


# -- the original


LONG = ORIGINAL + b"x" * 999 + b"\r\n"
LARGE = ORIGINAL + b"0123456789abcde\r\n" * 8000
NOTE = "Due to administrative limits only headers are returned"


@pytest.mark.parametrize(
    ("content", "ret", "limits", "type_", "note"),
    [
        pytest.param(ORIGINAL, "", Limits(), "message/rfc822", None, id="whole"),
        pytest.param(ORIGINAL, "FULL", Limits(), "message/rfc822", None, id="whole when asked for"),
        pytest.param(ORIGINAL, "HDRS", Limits(), "text/rfc822-headers", None, id="RET=HDRS"),
        pytest.param(ORIGINAL, "", Limits(body=False), "text/rfc822-headers", None, id="no_bounce_return_body"),
        pytest.param(ORIGINAL, "FULL", Limits(body=False), "text/rfc822-headers", NOTE, id="but RET=FULL"),
        pytest.param(LARGE, "", Limits(), "text/rfc822-headers", NOTE, id="larger than bounce_return_size_limit"),
        pytest.param(LARGE, "", Limits(size=0), "message/rfc822", None, id="no limit"),
        pytest.param(
            ORIGINAL + b"y" * 8000, "", Limits(size=1, line=9000), "message/rfc822", None, id="slack of a block"
        ),
        pytest.param(LONG, "", Limits(), "text/rfc822-headers", NOTE, id="longer than bounce_return_linesize_limit"),
        pytest.param(LONG, "", Limits(line=999), "message/rfc822", None, id="a line as long as the limit"),
    ],
)
async def test_how_much_comes_back(
    tmp_path: Path, content: bytes, ret: str, limits: Limits, type_: str, note: str | None
) -> None:
    async with house(tmp_path, limits=limits) as one:
        message = one.message(BAD, content=content, ret=ret)
        (bounce,) = one.tell(message, result(BAD, NO_SUCH_USER)).messages
    returned = parts(read(bounce))[2]
    assert returned.get_content_type() == type_
    text = returned.as_string()
    assert "Return-path: <sender@example.net>" in text
    assert "Subject: golden test" in text
    assert (NOTE in text) == (note is not None)
    assert ("hello" in text) == (type_ == "message/rfc822")


async def test_nothing_comes_back_without_bounce_return_message(tmp_path: Path) -> None:
    async with house(tmp_path, limits=Limits(message=False)) as one:
        (bounce,) = one.tell(one.message(BAD), result(BAD, NO_SUCH_USER)).messages
    assert len(parts(read(bounce))) == 2


async def test_a_header_that_no_transport_could_send_comes_back_cut(tmp_path: Path) -> None:
    """Else the bounce would fail for the same reason as the message, and nobody would hear of it."""
    content = b"Subject: " + b"s" * 5000 + b"\r\nX-Next: kept\r\n\r\nhello\r\n"
    async with house(tmp_path) as one:
        (bounce,) = one.tell(one.message(BAD, content=content), result(BAD, NO_SUCH_USER)).messages
    assert max(map(len, octets(bounce).split(b"\r\n"))) <= 998
    assert b"\r\nX-Next: kept\r\n" in octets(bounce)


async def test_letters_outside_ascii_make_the_types_of_rfc_6533(tmp_path: Path) -> None:
    umlaut = recipient("jörg@any.example")
    async with house(tmp_path) as one:
        message = one.message(umlaut, smtputf8=True)
        (bounce,) = one.tell(message, result(umlaut, NO_SUCH_USER)).messages
    types = [part.get_content_type() for part in parts(read(bounce))]
    assert types == ["text/plain", "message/global-delivery-status", "message/global"]
    assert "  jörg@any.example\n" in text_of(bounce)
    assert "Final-Recipient: utf-8;jörg@any.example\r\n".encode() in octets(bounce)
    assert bounce.envelope.body == "8BITMIME"
    assert not bounce.envelope.smtputf8, "its own header is ASCII, so that any server takes it"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param("", "<test@example.net>", id="the message's own id"),
        pytest.param("References: <a@x>\r\n <b@x>\r\n", "<a@x> <b@x> <test@example.net>", id="behind its references"),
        pytest.param("In-Reply-To: <a@x>\r\n", "<a@x> <test@example.net>", id="or what it answers"),
        pytest.param(
            f"References: {' '.join(f'<{number}@x>' for number in range(20))}\r\n",
            f"<0@x> {' '.join(f'<{number}@x>' for number in range(9, 20))} <test@example.net>",
            id="the first and the last of many",
        ),
        pytest.param("References: <a@x\x01> nonsense <b@x>\r\n", "<b@x> <test@example.net>", id="only what is an id"),
    ],
)
async def test_references(tmp_path: Path, header: str, expected: str) -> None:
    async with house(tmp_path) as one:
        message = one.message(BAD, content=header.encode() + ORIGINAL)
        assert report.references(message) == [f"References: {expected}"]
