"""Reports, read back by the standard library's parser as a mail program would."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import cast

from smarthostd.address import Address
from smarthostd.bounce.report import Kind, Style, compose
from smarthostd.envelope import Content, Envelope, Message, Recipient
from smarthostd.outcome import Delivered, Failed, Host
from smarthostd.plan import Result
from smarthostd.reply import Reply
from smarthostd.routers.base import RoutedAddress

STYLE = Style("client.example.net", "Mail Delivery System <Mailer-Daemon@example.net>")
ORIGINAL = b"From: sender@example.net\r\nSubject: golden test\r\n\r\nhello\r\nworld\r\n"


def original(ret: str = "", content: bytes = ORIGINAL) -> Message:
    envelope = Envelope(Address("sender", "example.net"), (), ret=ret, envid="QQ314159")
    return Message("1rJxYz-0001ab-2K", 0.0, envelope, Content(content), "test@example.net")


def failed(address: str = "bad@any.example", text: str = "550 5.1.1 no such user", orcpt: str = "") -> Result:
    recipient = Recipient(Address.parse(address), orcpt=orcpt)
    reply = Reply(int(text[:3]), text[4:])
    outcome = Failed(
        f"SMTP error from remote mail server after RCPT TO:<{address}>: {text}",
        Host("smarthost.isp.example", "127.0.0.10"),
        reply,
    )
    return Result(RoutedAddress(recipient.address, recipient), outcome, "smarthost", "smarthost_smtp")


def report(
    *results: Result, kind: Kind = Kind.FAILED, message: Message | None = None, style: Style = STYLE
) -> EmailMessage:
    octets = compose(kind, style, message or original(), results, "sender@example.net", "boundary")
    assert b"\n" not in octets.replace(b"\r\n", b"")
    return cast(EmailMessage, message_from_bytes(octets, policy=policy.SMTP))


def parts(parsed: EmailMessage) -> list[EmailMessage]:
    return cast("list[EmailMessage]", parsed.get_payload())


def test_the_header_is_that_of_exim() -> None:
    parsed = report(failed(), failed("worse@any.example"))
    assert parsed["X-Failed-Recipients"] == "worse@any.example,  bad@any.example"
    assert parsed["Auto-Submitted"] == "auto-replied"
    assert parsed["Subject"] == "Mail delivery failed: returning message to sender"
    assert parsed["References"] == "<test@example.net>"
    assert parsed.get_content_type() == "multipart/report"


def test_the_text_gives_host_and_reply_for_each_address() -> None:
    text = parts(report(failed()))[0].get_payload()
    assert text.replace("\r\n", "\n").endswith(
        "  bad@any.example\n"
        "    host smarthost.isp.example [127.0.0.10]\n"
        "    SMTP error from remote mail server after RCPT TO:<bad@any.example>:\n"
        "    550 5.1.1 no such user\n"
    )


def test_the_status_part_has_the_servers_own_code() -> None:
    blocks = parts(parts(report(failed(orcpt="rfc822;Bad@any.example")))[1])
    assert blocks[0]["Reporting-MTA"] == "dns; client.example.net"
    assert blocks[0]["Original-Envelope-ID"] == "QQ314159"
    assert blocks[1]["Original-Recipient"] == "rfc822;Bad@any.example"
    assert blocks[1]["Final-Recipient"] == "rfc822;bad@any.example"
    assert blocks[1]["Action"] == "failed"
    assert blocks[1]["Status"] == "5.1.1"
    assert blocks[1]["Diagnostic-Code"] == "smtp; 550 5.1.1 no such user"


def test_the_original_comes_back_whole() -> None:
    returned = parts(report(failed()))[2]
    assert returned.get_content_type() == "message/rfc822"
    inner = parts(returned)[0]
    assert inner["Return-path"] == "<sender@example.net>"
    assert inner["Subject"] == "golden test"
    assert inner.get_payload().strip().splitlines() == ["hello", "world"]


def test_only_the_header_comes_back_when_asked_for_or_too_large() -> None:
    asked = parts(report(failed(), message=original(ret="HDRS")))[2]
    assert asked.get_content_type() == "text/rfc822-headers"
    assert "hello" not in asked.get_payload()
    large = original(content=ORIGINAL + b"x" * 2000)
    style = Style(STYLE.hostname, STYLE.from_, return_size_limit=1000)
    cut = parts(report(failed(), message=large, style=style))[2]
    assert cut.get_content_type() == "text/rfc822-headers"
    assert "golden test" in cut.get_payload()


def test_a_servers_control_characters_do_not_reach_the_report() -> None:
    octets = compose(
        Kind.FAILED, STYLE, original(), [failed(text="550 \x1b[2J\r\nX-Evil: yes")], "sender@example.net", "b"
    )
    assert b"\x1b" not in octets
    assert b"\r\nX-Evil" not in octets


def test_a_relayed_report_says_that_nothing_more_will_be_heard() -> None:
    recipient = Recipient(Address("ok", "any.example"), notify="SUCCESS")
    relayed = Result(RoutedAddress(recipient.address, recipient), Delivered(Host("h", "127.0.0.1")))
    parsed = report(relayed, kind=Kind.RELAYED)
    assert parsed["Subject"] == "Delivery Status Notification"
    block = parts(parts(parsed)[1])[1]
    assert block["Action"] == "relayed"
    assert block["Status"] == "2.0.0"
