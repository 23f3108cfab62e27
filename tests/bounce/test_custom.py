"""Texts of the administrator's own."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from smarthostd.bounce.custom import FILE_LIMIT
from smarthostd.envelope import Message
from tests.bounce.house import ORIGINAL, House, house, parts, put_off, read, recipient, refused, result, text_of

BAD = recipient("bad@any.example")
NO = refused("550 no", "RCPT TO:<bad@any.example>")
LATER = put_off("450 later", "RCPT TO:<bad@any.example>")

BOUNCE = """Subject: Not delivered
X-Reader: $bounce_recipient
****
Your mail on "$h_subject:" came back (limit $bounce_return_size_limit).
****
not used
****
"""
WARNING = """Subject: Waiting for $warn_message_delay
****
$warn_message_recipients, please be patient.
****
It will go.
****
"""


def bounce(one: House, content: bytes = ORIGINAL) -> Message:
    """Return the bounce of a message."""
    (report,) = one.tell(one.message(BAD, content=content), result(BAD, NO)).messages
    return report


def file(directory: Path, content: str) -> str:
    """Write *content* into a file and return its path."""
    path = directory / "texts"
    path.write_text(content)
    return str(path)


async def test_a_bounces_own_subject_and_opening(tmp_path: Path) -> None:
    async with house(tmp_path, bounce_message_file=file(tmp_path, BOUNCE)) as one:
        report = bounce(one)
    assert read(report)["Subject"] == "Not delivered"
    assert read(report)["X-Reader"] == "sender@example.net"
    assert text_of(report).startswith('Your mail on "golden test" came back (limit 102400).\n\n  bad@any.example\n')
    assert "not used" not in text_of(report)


async def test_a_warnings_own_texts(tmp_path: Path) -> None:
    hour = timedelta(hours=1)
    async with house(tmp_path, warn_message_file=file(tmp_path, WARNING), delay_warning=(hour,)) as one:
        message = one.message(BAD)
        one.clock.pass_(4000)
        (warning,) = one.tell(message, result(BAD, LATER)).messages
    assert read(warning)["Subject"] == "Waiting for 60 minutes"
    assert text_of(warning).startswith("sender@example.net, please be patient.\n\n  bad@any.example\n")
    assert text_of(warning).endswith("\nIt will go.\n")


async def test_an_empty_section_has_the_usual_text(tmp_path: Path) -> None:
    async with house(tmp_path, bounce_message_file=file(tmp_path, "****\nOnly this.\n")) as one:
        report = bounce(one)
    assert read(report)["Subject"] == "Mail delivery failed: returning message to sender"
    assert text_of(report).startswith("Only this.\n\n")


async def test_bounce_message_text_stands_behind_the_first_line(tmp_path: Path) -> None:
    async with house(tmp_path, bounce_message_text="Call extension 25.\n") as one:
        report = bounce(one)
    assert text_of(report).startswith(
        "This message was created automatically by mail delivery software.\nCall extension 25.\n\nA message"
    )


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        pytest.param("texts", "not absolute", id="no whole path"),
        pytest.param("/nonexistent/texts", "failed to open /nonexistent/texts", id="no file"),
        pytest.param("${nonsense}", "bounce_message_file: ", id="cannot be expanded"),
    ],
)
async def test_what_is_wrong_with_the_file_is_logged_and_the_usual_text_stands(
    tmp_path: Path, option: str, complaint: str
) -> None:
    async with house(tmp_path, bounce_message_file=option) as one:
        report = bounce(one)
        (line,) = one.lines
    assert complaint in line
    assert line.endswith("; the usual texts are used")
    assert text_of(report).startswith("This message was created automatically")


@pytest.mark.parametrize("content", ["Subject: ${nonsense}\n****\nBut this.\n", "x" * (FILE_LIMIT + 1)])
async def test_a_bad_content_is_logged(tmp_path: Path, content: str) -> None:
    async with house(tmp_path, bounce_message_file=file(tmp_path, content)) as one:
        report = bounce(one)
        assert "usual text" in one.lines[0]
    assert read(report)["Subject"] == "Mail delivery failed: returning message to sender"


async def test_what_a_stranger_wrote_cannot_end_the_header(tmp_path: Path) -> None:
    """The section holds the raw subject, which has line ends, an empty one among them, and an escape sequence."""
    content = b"Subject: one\r\n \r\n\ttwo\x1b[2J\r\n\r\nhello\r\n"
    text = "Subject: About $rh_subject:\nX-Second: yes\n****\nOn $rh_subject:\n"
    async with house(tmp_path, bounce_message_file=file(tmp_path, text)) as one:
        report = read(bounce(one, content))
    assert "X-Second" in report
    assert "\x1b" not in report.as_string().partition("message/rfc822")[0]
    assert len(parts(report)) == 3
