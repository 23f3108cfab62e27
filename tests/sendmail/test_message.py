"""What becomes of a message as programs write it, and which addresses its header holds."""

from __future__ import annotations

import pytest

from smarthostd.sendmail.message import addresses_in, recipients_of, wire_form, with_sender_name


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        pytest.param(b"A: b\n\nx\n", b"A: b\r\n\r\nx\r\n", id="local line ends become CRLF"),
        pytest.param(b"A: b\r\n\r\nx\r\n", b"A: b\r\n\r\nx\r\n", id="CRLF stays"),
        pytest.param(b"A: b\n\nx\ry\n", b"A: b\r\n\r\nx\r\ny\r\n", id="a lone CR is a line end"),
        pytest.param(b"A: b\n\nx", b"A: b\r\n\r\nx\r\n", id="the last line gets its end"),
        pytest.param(b"A: b\n\nx\0y\n", b"A: b\r\n\r\nx?y\r\n", id="a NUL is seen"),
        pytest.param(b"A: b\n", b"A: b\r\n\r\n", id="no body"),
        pytest.param(b"", b"\r\n", id="nothing at all"),
        pytest.param(b"hello\n", b"\r\nhello\r\n", id="no header: an empty line stands in front"),
        pytest.param(
            b"A: b\nhello: \nwor ld: x\n", b"A: b\r\nhello: \r\n\r\nwor ld: x\r\n", id="the header ends early"
        ),
        pytest.param(b" A: b\n\nx\n", b"\r\n A: b\r\n\r\nx\r\n", id="nothing is continued by the first line"),
        pytest.param(b"A: b\n c\n\nx\n", b"A: b\r\n c\r\n\r\nx\r\n", id="a continued line"),
        pytest.param(b"From a@b Mon Jan  1\nA: b\n\nx\n", b"A: b\r\n\r\nx\r\n", id="a mailbox's From line goes"),
        pytest.param(b"A: b\n\none\n.\ntwo\n", b"A: b\r\n\r\none\r\n", id="a lone dot ends it"),
        pytest.param(b"A: b\n\none\n.", b"A: b\r\n\r\none\r\n", id="a lone dot without its line end"),
        pytest.param(b"A: b\n\n.one\n..\n", b"A: b\r\n\r\n.one\r\n..\r\n", id="other dots stay"),
        pytest.param(b".\nA: b\n", b"\r\n", id="a lone dot at once"),
    ],
)
def test_the_form_in_which_it_is_sent(written: bytes, sent: bytes) -> None:
    assert wire_form(written, dot_ends=True) == sent


def test_with_i_a_lone_dot_is_text() -> None:
    assert wire_form(b"A: b\n\none\n.\ntwo\n", dot_ends=False) == b"A: b\r\n\r\none\r\n.\r\ntwo\r\n"


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        pytest.param("a@b, c@d", ["a@b", "c@d"], id="two"),
        pytest.param(" a@b ,, ", ["a@b"], id="empty items are none"),
        pytest.param('"Doe, J." <j@d>, x@y', ["j@d", "x@y"], id="a comma in quotes"),
        pytest.param('"Doe \\", J." <j@d>', ["j@d"], id="an escaped quote in quotes"),
        pytest.param('"odd, name"@d', ['"odd, name"@d'], id="a quoted local part"),
        pytest.param("a@b (a comment, with a comma)", ["a@b"], id="a comment"),
        pytest.param("(one (two) <x@y>) a@b", ["a@b"], id="a comment in a comment"),
        pytest.param("(\\) x@y) a@b", ["a@b"], id="an escaped bracket in a comment"),
        pytest.param('"not (a comment" <a@b>', ["a@b"], id="a bracket in quotes is none"),
        pytest.param("friends: a@b, c@d;", ["a@b", "c@d"], id="a group's name is no recipient"),
        pytest.param("undisclosed-recipients:;", [], id="an empty group"),
        pytest.param("Me <@x,@y:a@b>", ["@x,@y:a@b"], id="a source route is the daemon's matter"),
        pytest.param("a@[IPv6:::1], c@d", ["a@[IPv6:::1]", "c@d"], id="a domain literal"),
        pytest.param("A <a@b> trailing, c@d", ["a@b", "c@d"], id="what follows the brackets is none"),
        pytest.param("Broken <a@b", ["a@b"], id="an open bracket"),
        pytest.param("ü@b", ["ü@b"], id="UTF-8"),
    ],
)
def test_addresses_of_a_header(text: str, addresses: list[str]) -> None:
    assert addresses_in(text) == addresses


def test_the_header_names_the_recipients_and_bcc_goes() -> None:
    message = b"To: a@b,\r\n\tc@d\r\nBCC: e@f\r\n ,g@h\r\nSubject: x\r\nCc: i@j\r\n\r\nBcc: text\r\n"
    kept, found = recipients_of(message)
    assert found == ["a@b", "c@d", "e@f", "g@h", "i@j"]
    assert kept == b"To: a@b,\r\n\tc@d\r\nSubject: x\r\nCc: i@j\r\n\r\nBcc: text\r\n"


def test_of_a_message_sent_again_the_resent_lines_count() -> None:
    message = b"To: a@b\r\nResent-To: c@d\r\nResent-Bcc: e@f\r\n\r\nx\r\n"
    kept, found = recipients_of(message)
    assert found == ["c@d", "e@f"]
    assert kept == b"To: a@b\r\nResent-To: c@d\r\n\r\nx\r\n"


@pytest.mark.parametrize(
    ("name", "line"),
    [
        pytest.param("Cron Daemon", b"From: Cron Daemon <root>\r\n", id="words"),
        pytest.param('J. "Doe"', b'From: "J. \\"Doe\\"" <root>\r\n', id="quotes"),
        pytest.param("a\r\nBcc: b", b'From: "a  Bcc: b" <root>\r\n', id="no line can be forged"),
    ],
)
def test_a_full_name_makes_a_from_line(name: str, line: bytes) -> None:
    assert with_sender_name(b"A: b\r\n\r\nx\r\n", name, "root") == line + b"A: b\r\n\r\nx\r\n"


def test_a_from_line_of_the_programs_own_stays() -> None:
    message = b"FROM : a@b\r\n\r\nx\r\n"
    assert with_sender_name(message, "Me", "root") == message
