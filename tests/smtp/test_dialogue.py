"""The dialogue without a socket: replies, offers, command lines, the message's blocks."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smarthostd.address import NULL_SENDER, Address
from smarthostd.envelope import BLOCK, Content, Envelope, Recipient
from smarthostd.reply import Reply
from smarthostd.smtp.dialogue import (
    REPLY_LIMIT,
    InjectionError,
    Offer,
    Trouble,
    chunk,
    line,
    mail_text,
    rcpt_text,
    stuffed,
    take_reply,
    xtext,
)

REPLIES = {
    "one line": (b"250 ok\r\n", Reply(250, "ok")),
    "several lines": (b"250-a\r\n250-b c\r\n250 d\r\n", Reply(250, "a\nb c\nd")),
    "a code alone": (b"354\r\n", Reply(354, "")),
    "an empty text": (b"334 \r\n", Reply(334, "")),
    "no carriage return": (b"250 ok\n", Reply(250, "ok")),
    "octets that are no text": (b"550 \xff\r\n", Reply(550, "\udcff")),
}
NO_REPLIES = {
    "not a number": b"hello\r\n",
    "two digits": b"25 ok\r\n",
    "four digits": b"2500 ok\r\n",
    "a code that is no reply's": b"150 ok\r\n",
    "nothing": b"\r\n",
    "two codes in one reply": b"250-a\r\n550 b\r\n",
    "a sign": b"+25 ok\r\n",
    "no end": b"2" * (REPLY_LIMIT + 1),
    "a carriage return in the middle": b"250 a\rb\r\n",
}


@pytest.mark.parametrize(("octets", "reply"), [pytest.param(*row, id=id) for id, row in REPLIES.items()])
def test_what_is_a_reply(octets: bytes, reply: Reply) -> None:
    buffer = bytearray(octets + b"221 the next")
    assert take_reply(buffer) == reply
    assert buffer == b"221 the next"


@pytest.mark.parametrize("octets", [pytest.param(octets, id=id) for id, octets in NO_REPLIES.items()])
def test_what_is_none(octets: bytes) -> None:
    """Noise is trouble, never somebody's answer."""
    with pytest.raises(Trouble):
        take_reply(bytearray(octets))


texts = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])).map(lambda text: text.strip(" \t"))
replies = st.builds(Reply, st.integers(200, 599), st.lists(texts, min_size=1, max_size=4).map("\n".join))


@given(st.lists(replies, max_size=5), st.data())
def test_replies_come_through_however_they_are_cut(sent: list[Reply], data: st.DataObject) -> None:
    octets, buffer, taken = b"".join(reply.wire() for reply in sent), bytearray(), []
    while octets:
        at = data.draw(st.integers(1, len(octets)))
        buffer, octets = buffer + octets[:at], octets[at:]
        while (reply := take_reply(buffer)) is not None:
            taken.append(reply)
    assert taken == sent
    assert not buffer


@given(st.binary(max_size=200))
def test_any_octets_are_a_reply_or_none_yet_or_trouble(octets: bytes) -> None:
    """Whatever comes, a reply has a code from 200 to 599."""
    buffer = bytearray(octets)
    with contextlib.suppress(Trouble):
        while (reply := take_reply(buffer)) is not None:
            assert 200 <= reply.code < 600


def test_the_first_auth_line_counts_and_only_in_upper_case() -> None:
    offer = Offer.of(Reply(250, "peer\nAUTH=LOGIN\nauth NTLM\nAUTH plain CRAM-MD5\nAUTH GSSAPI\nsize 10"))
    assert offer.mechanisms == {"PLAIN", "CRAM-MD5"}
    assert "SIZE" in offer
    assert "PEER" not in offer


@pytest.mark.parametrize("text", ["RCPT TO:<a\r\nDATA>", "MAIL FROM:<a\0>", "x\ny", "x\x7f", "\t"])
def test_no_control_character_leaves_in_a_command(text: str) -> None:
    with pytest.raises(InjectionError):
        line(text)


def test_parameters_are_said_only_where_they_are_understood() -> None:
    envelope = Envelope(ret="HDRS", envid="QQ", body="8BITMIME", smtputf8=True)
    recipient = Recipient(Address("c", "d"), "NEVER", "rfc822;c@d")
    everything = Offer.of(Reply(250, "x\nSIZE 1000\n8BITMIME\nSMTPUTF8\nDSN\nIGNOREQUOTA"))
    sender = Address("a", "b")
    told = mail_text(sender, envelope, 5, everything, True, "me@b")
    assert told == "MAIL FROM:<a@b> SIZE=5 BODY=8BITMIME SMTPUTF8 AUTH=me@b RET=HDRS ENVID=QQ"
    told = rcpt_text(recipient.address, recipient, everything, ignore_quota=True)
    assert told == "RCPT TO:<c@d> IGNOREQUOTA NOTIFY=NEVER ORCPT=rfc822;c@d"
    assert mail_text(sender, envelope, 5, Offer(), False) == "MAIL FROM:<a@b>"
    assert mail_text(NULL_SENDER, envelope, -1, everything, False).startswith("MAIL FROM:<> BODY=")
    assert rcpt_text(recipient.address, recipient, Offer(), ignore_quota=True) == "RCPT TO:<c@d>"


def test_xtext_hides_what_a_parameter_may_not_hold() -> None:
    assert xtext("a+b=c d\xe9") == "a+2Bb+3Dc+20d+C3+A9"


# -- the message


def unstuffed(octets: bytes) -> bytes:
    """Do what a server does: cut at the first line that is a dot, take one dot off each line that begins with one."""
    lines = []
    for one in octets.split(b"\r\n")[:-1]:
        if one == b".":
            return b"".join(line + b"\r\n" for line in lines)
        lines.append(one.removeprefix(b"."))
    raise AssertionError("the message has no end")


pieces = st.sampled_from([b".", b"..", b"\r\n", b"a", b".\r\n", b"x" * 7])


@given(st.lists(pieces, max_size=40), st.integers(1, 9))
def test_a_stuffed_message_is_the_message_wherever_its_blocks_are_cut(pieces: list[bytes], block: int) -> None:
    octets = b"".join(pieces)
    sent = b"".join(stuffed(_Blocks(octets, block)))  # type: ignore[arg-type]  # content, as far as blocks matter
    wanted = octets if octets.endswith(b"\r\n") or not octets else octets + b"\r\n"
    assert unstuffed(sent) == wanted
    assert sent.count(b"\r\n.\r\n") + sent.startswith(b".\r\n") == 1


class _Blocks:
    """A content in blocks of *length*."""

    def __init__(self, octets: bytes, length: int) -> None:
        self._octets, self._length = octets, length

    def blocks(self) -> list[bytes]:
        return [self._octets[at : at + self._length] for at in range(0, len(self._octets), self._length)]


def test_a_small_message_goes_in_one_block_with_its_dot() -> None:
    assert list(stuffed(Content(b"Subject: x\r\n\r\n.a\r\n"))) == [b"Subject: x\r\n\r\n..a\r\n.\r\n"]
    assert list(stuffed(Content(b""))) == [b".\r\n"]


def test_a_large_message_goes_in_blocks_of_64_kib_the_dot_with_the_last(tmp_path: Path) -> None:
    file = tmp_path / "content"
    file.write_bytes(b"x" * (3 * BLOCK))
    blocks = list(stuffed(Content(b"Received: us\r\n", file)))
    assert max(map(len, blocks)) <= BLOCK + 5
    assert blocks[-1].endswith(b"x\r\n.\r\n")
    assert len(blocks[-1]) > BLOCK // 2


def test_a_chunk_is_the_message_as_it_is_its_command_with_the_first_block(tmp_path: Path) -> None:
    file = tmp_path / "content"
    file.write_bytes(b"." * (BLOCK + 1))
    content = Content(b"a: b\r\n\r\n", file)
    blocks = list(chunk(content))
    assert blocks[0] == b"BDAT %d LAST\r\na: b\r\n\r\n" % content.size
    assert b"".join(blocks).partition(b"\r\n")[2] == b"a: b\r\n\r\n" + b"." * (BLOCK + 1)
    assert list(chunk(Content(b""))) == [b"BDAT 0 LAST\r\n"]
