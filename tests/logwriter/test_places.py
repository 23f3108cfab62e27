"""Files and standard error: which, opened again, begun anew at midnight; what cannot be written is counted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from smarthostd.errors import ConfigurationError
from smarthostd.logwriter import File, LogWriter, Stderr, SyslogOptions, places
from smarthostd.logwriter.syslog import Syslog


def test_log_file_path_names_places(tmp_path: Path) -> None:
    found = places(f"stderr : syslog : {tmp_path}/%slog", "/spool", SyslogOptions())
    assert [type(one) for one in found] == [Stderr, Syslog, File]


@pytest.mark.parametrize("option", ["", "syslog :"])
def test_an_empty_item_is_a_file_below_the_spool(tmp_path: Path, option: str) -> None:
    file = places(option, str(tmp_path), SyslogOptions())[-1]
    file.open()
    file.close()
    assert (tmp_path / "log" / "mainlog").exists()


def test_lines_are_written_in_order_and_at_once_without_a_loop(tmp_path: Path) -> None:
    writer = LogWriter([File(f"{tmp_path}/%s")])
    writer.write("one")
    writer.write("zwölf")
    assert (tmp_path / "main").read_text() == "one\nzwölf\n"
    writer.close()


async def test_lines_of_one_turn_are_written_together(tmp_path: Path) -> None:
    writer = LogWriter([File(f"{tmp_path}/%s")])
    writer.write("one")
    assert (tmp_path / "main").read_text() == ""
    writer.close()
    assert (tmp_path / "main").read_text() == "one\n"


def test_rejections_and_panics_have_files_of_their_own_once_there_are_any(tmp_path: Path) -> None:
    writer = LogWriter([File(f"{tmp_path}/%slog")])
    assert [file.name for file in tmp_path.iterdir()] == ["mainlog"]
    writer.write_to("reject", "no")
    writer.write_to("panic", "oh")
    writer.close()
    assert (tmp_path / "rejectlog").read_text() == "no\n"
    assert (tmp_path / "paniclog").read_text() == "oh\n"


def test_a_reject_log_that_is_not_wanted(tmp_path: Path) -> None:
    writer = LogWriter([File(f"{tmp_path}/%slog", reject_log=False)])
    writer.write_to("reject", "no")
    writer.close()
    assert not (tmp_path / "rejectlog").exists()


def test_after_logrotate_lines_go_to_the_new_file(tmp_path: Path) -> None:
    writer = LogWriter([File(f"{tmp_path}/%slog")])
    for log in ("main", "reject"):
        writer.write_to(log, "before")
        (tmp_path / f"{log}log").rename(tmp_path / f"{log}log.1")
    writer.reopen()
    for log in ("main", "reject"):
        writer.write_to(log, "after")
        assert (tmp_path / f"{log}log").read_text() == "after\n"
    writer.close()


def test_a_file_of_the_day_and_of_the_month(tmp_path: Path) -> None:
    now = [1_700_000_000.0]
    writer = LogWriter([File(f"{tmp_path}/%s-%D-%M", now=lambda: now[0])])
    writer.write("one")
    now[0] += 86_400
    writer.write("two")
    writer.close()
    first, second = sorted(tmp_path.iterdir())
    assert (first.name[:11], second.name[:11]) == ("main-202311", "main-202311")
    assert first.name.endswith("-202311")
    assert (first.read_text(), second.read_text()) == ("one\n", "two\n")


def test_a_place_that_cannot_be_written_is_a_mistake_with_its_fix(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"cannot write the log .*: Not a directory; give log_file_path"):
        LogWriter([File(f"{tmp_path}/file/log/%s")])


def test_where_reopening_fails_the_old_file_is_written_to(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    writer = LogWriter([File(f"{folder}/%s")])
    folder.rename(tmp_path / "moved")
    folder.write_text("in the way")
    with pytest.raises(ConfigurationError):
        writer.reopen()
    writer.write("one")
    writer.close()
    assert (tmp_path / "moved" / "main").read_text() == "one\n"


def test_lines_that_a_full_disk_does_not_take_are_counted(tmp_path: Path) -> None:
    """``/dev/full`` is the disk; then there is room again."""
    (tmp_path / "mainlog").symlink_to("/dev/full")
    writer = LogWriter([File(f"{tmp_path}/%slog")])
    writer.write("one")
    writer.write("two")
    (tmp_path / "mainlog").unlink()
    writer.reopen()
    writer.write("three")
    writer.close()
    assert (tmp_path / "mainlog").read_text() == "2 log lines could not be written\nthree\n"


def test_one_place_in_trouble_does_not_keep_lines_from_the_other(tmp_path: Path) -> None:
    (tmp_path / "full").symlink_to("/dev/full")
    writer = LogWriter([File(f"{tmp_path}/full%s".replace("%s", "")), File(f"{tmp_path}/%slog")])
    writer.write("one")
    writer.close()
    assert (tmp_path / "mainlog").read_text() == "one\n"


def test_standard_error_has_the_main_log_only() -> None:
    """It has all that the others have."""
    reading, writing = os.pipe()
    writer = LogWriter([Stderr(writing)])
    writer.write("one")
    writer.write_to("reject", "one")
    writer.close()
    os.close(writing)
    with os.fdopen(reading) as stream:
        assert stream.read() == "one\n"


def test_other_places_from_now_on(tmp_path: Path) -> None:
    writer = LogWriter([File(f"{tmp_path}/%s-old")])
    writer.write("one")
    new = File(f"{tmp_path}/%s-new")
    new.open()
    writer.renew([new])
    writer.write("two")
    writer.close()
    assert (tmp_path / "main-old").read_text() == "one\n"
    assert (tmp_path / "main-new").read_text() == "two\n"
