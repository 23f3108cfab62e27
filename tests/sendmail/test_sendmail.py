"""``sendmail`` as programs call it, against a listener on a unix socket."""

from __future__ import annotations

import asyncio
import os
import pwd
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from smarthostd import sendmail
from smarthostd.listener import sockets
from smarthostd.sendmail.submission import Daemon, Letter
from smarthostd.spool.base import Pending
from tests.end_to_end.test_sendmail import AS_USER as AS_NOBODY
from tests.listener.house import House, house
from tests.peers import presence
from tests.peers.private import reachable

MESSAGE = b"From: me@app.example\nTo: One <one@d.example>, two@d.example\nBcc: three@d.example\nSubject: x\n\nbody\n"
LOGIN = pwd.getpwuid(os.getuid()).pw_name


async def run(relay: House, directory: Path, arguments: list[str], stdin: bytes = MESSAGE) -> tuple[int, str]:
    """Run the program; return its exit status and what it said."""
    path = directory / "submit.sock"
    if not path.exists():
        await relay.listener.listen(sockets.unix(path))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "smarthostd.sendmail", *arguments,
        env={**os.environ, "SMARTHOSTD_SUBMIT": str(path)}, stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(stdin), 30)
    return process.returncode or 0, (out + err).decode()


async def stored(relay: House) -> Pending:
    (pending,) = await relay.stored()
    return pending


async def test_arguments_are_recipients(tmp_path: Path) -> None:
    async with house(tmp_path) as relay:
        assert await run(relay, tmp_path, ["-oi", "-f", "sender@b.example", "a@d.example", "b@d.example"]) == (0, "")
        pending = await stored(relay)
        assert str(pending.message.envelope.sender) == "sender@b.example"
        assert [str(one) for one in pending.waiting] == ["a@d.example", "b@d.example"]
        assert pending.message.envelope.client.protocol == "local"
        assert pending.message.envelope.client.login == LOGIN
        assert b"\r\nBcc: three@d.example\r\n" in pending.message.content.head
        assert pending.message.content.head.endswith(b"\r\n\r\nbody\r\n")


async def test_t_reads_the_header_and_takes_bcc_out(tmp_path: Path) -> None:
    async with house(tmp_path) as relay:
        assert await run(relay, tmp_path, ["-t", "-i"]) == (0, "")
        pending = await stored(relay)
        assert [str(one) for one in pending.waiting] == ["one@d.example", "two@d.example", "three@d.example"]
        assert b"Bcc" not in pending.message.content.head
        assert str(pending.message.envelope.sender) == f"{LOGIN}@qualify.example"


async def test_a_lone_dot_ends_the_message_unless_told_otherwise(tmp_path: Path) -> None:
    text = b"Subject: x\n\none\n.\ntwo\n"
    async with house(tmp_path) as relay:
        await run(relay, tmp_path, ["a@d.example"], text)
        await run(relay, tmp_path, ["-i", "a@d.example"], text)
        first, second = await relay.stored()
        assert first.message.content.head.endswith(b"\r\n\r\none\r\n")
        assert second.message.content.head.endswith(b"\r\n\r\none\r\n.\r\ntwo\r\n")


async def test_a_full_name_and_what_others_sendmails_have(tmp_path: Path) -> None:
    """As cron calls it: -FCronDaemon -i -B8BITMIME -oem root."""
    async with house(tmp_path) as relay:
        assert await run(
            relay, tmp_path, ["-FCronDaemon", "-i", "-B8BITMIME", "-oem", "root"], b"Subject: x\n\nhi\n"
        ) == (0, "")
        pending = await stored(relay)
        assert [str(one) for one in pending.waiting] == ["root@recipients.example"]
        assert f"From: CronDaemon <{LOGIN}>".encode() in pending.message.content.head


async def test_bs_takes_the_line_ends_of_this_system_for_those_of_smtp(tmp_path: Path) -> None:
    """Else the final dot is no end: nothing is kept, and the exit status is 0."""
    talk = b"EHLO x\nMAIL FROM:<a@b.example>\nRCPT TO:<c@d.example>\nDATA\nSubject: x\n\n.\nQUIT\n"
    async with house(tmp_path) as relay:
        status, said = await run(relay, tmp_path, ["-bs"], talk)
        assert status == 0
        assert "250 2.0.0 OK id=" in said
        assert (await stored(relay)).message.content.head.endswith(b"Subject: x\r\n\r\n")


async def test_bs_speaks_smtp(tmp_path: Path) -> None:
    talk = b"EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nSubject: x\r\n\r\n.\r\nQUIT\r\n"
    async with house(tmp_path) as relay:
        status, said = await run(relay, tmp_path, ["-bs"], talk)
        assert status == 0
        assert "250 2.0.0 OK id=" in said
        pending = await stored(relay)
        assert pending.message.envelope.client.protocol == "local-esmtp"


async def test_nothing_is_given_to_a_shell_or_into_a_command(tmp_path: Path) -> None:
    async with house(tmp_path) as relay:
        status, said = await run(relay, tmp_path, ["--", "a@d.example\r\nRCPT TO:<evil@d.example>"])
        assert status == 65
        assert "control character" in said
        assert await relay.stored() == []


async def test_a_refusal_has_the_exit_status_of_its_kind(tmp_path: Path) -> None:
    async with house(tmp_path) as relay:
        assert (await run(relay, tmp_path, ["a@@d"]))[0] == 65
        assert (await run(relay, tmp_path, []))[0] == 64


async def test_recipients_of_arguments_and_header_are_one_list(tmp_path: Path) -> None:
    async with house(tmp_path) as relay:
        assert await run(relay, tmp_path, ["-t", "four@d.example", "<one@d.example>"]) == (0, "")
        pending = await stored(relay)
        names = [one.address.local_part for one in pending.waiting]
        assert names == ["four", "one", "two", "three"]


async def test_one_argument_is_one_recipient(tmp_path: Path) -> None:
    async with house(tmp_path) as relay:
        status, said = await run(relay, tmp_path, ["a@d.example, evil@d.example"])
        assert status == 65
        assert "RCPT TO:<a@d.example, evil@d.example> was refused" in said
        assert await relay.stored() == []


async def test_nothing_is_kept_where_one_recipient_of_many_is_refused(tmp_path: Path) -> None:
    async with house(tmp_path) as relay:
        assert (await run(relay, tmp_path, ["a@d.example", "a@@d"]))[0] == 65
        assert await relay.stored() == []


async def test_parameters_for_reports_arrive(tmp_path: Path) -> None:
    async with house(tmp_path) as relay:
        words = ["-N", "failure,delay", "-R", "hdrs", "-V", "x+20y", "a@d.example"]
        assert await run(relay, tmp_path, words) == (0, "")
        pending = await stored(relay)
        (recipient,) = pending.waiting
        assert recipient.notify == "FAILURE,DELAY"
        assert (pending.message.envelope.ret, pending.message.envelope.envid) == ("HDRS", "x+20y")


async def test_text_without_a_header_is_a_body(tmp_path: Path) -> None:
    """``echo hello | sendmail root``"""
    async with house(tmp_path) as relay:
        assert await run(relay, tmp_path, ["root"], b"hello\n") == (0, "")
        pending = await stored(relay)
        assert pending.message.content.head.endswith(b"\r\n\r\nhello\r\n")


async def test_newaliases_has_nothing_to_do(tmp_path: Path) -> None:
    async with house(tmp_path) as relay:
        status, said = await run(relay, tmp_path, ["-bi"])
        assert status == 0
        assert "nothing to build" in said


@pytest.mark.parametrize(("words", "said"), [(["-oem"], "cannot reach"), (["-oeq"], "")])
def test_without_a_daemon_and_a_drop_directory_nothing_is_pretended(
    tmp_path: Path, words: list[str], said: str
) -> None:
    status, text = alone(tmp_path, [*words, "a@d.example"])
    assert status == 75
    assert said in text
    assert bool(text) is bool(said)


def test_without_a_daemon_the_message_is_kept(tmp_path: Path) -> None:
    """One file, whole, which says what the daemon would have been told; nothing unfinished stays."""
    (tmp_path / "drop").mkdir()
    status, text = alone(tmp_path, ["-v", "-f", "me@b.example", "a@d.example", "ü@d.example"], b"Subject: x\n\n.\n")
    assert (status, text) == (0, "smarthostd is down: the message is kept, and goes when it is up again\n")
    (file,) = (tmp_path / "drop").iterdir()
    assert len(file.name) == 32
    assert file.stat().st_mode & 0o777 == 0o640
    head = "MAIL FROM:<me@b.example> SMTPUTF8 XLOCAL\r\nRCPT TO:<a@d.example>\r\nRCPT TO:<ü@d.example>\r\nDATA\r\n"
    assert file.read_bytes().startswith(head.encode())
    assert file.read_bytes().endswith(b"Subject: x\r\n\r\n")


def test_a_daemon_that_hangs_is_one_that_is_down(tmp_path: Path) -> None:
    """It takes the connection, and says nothing: the message is kept."""
    (tmp_path / "drop").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "nobody.sock"))
        listening.listen()
        status, text = alone(tmp_path, ["-v", "a@d.example"], environ={"SMARTHOSTD_TIMEOUT": "0.1"})
    assert (status, text) == (0, "smarthostd is down: the message is kept, and goes when it is up again\n")
    assert len(list((tmp_path / "drop").iterdir())) == 1


def test_a_daemon_that_hangs_in_the_middle_has_perhaps_kept_it(tmp_path: Path) -> None:
    """So it is not kept here as well; the caller is told to try again."""
    (tmp_path / "drop").mkdir()

    def greet() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.sendall(b"220 hello\r\n")
            while connection.recv(1000):
                pass

    with socket.socket(socket.AF_UNIX) as listening, ThreadPoolExecutor(1) as peer:
        listening.bind(str(tmp_path / "nobody.sock"))
        listening.listen()
        greeted = peer.submit(greet)
        status, text = alone(tmp_path, ["a@d.example"], environ={"SMARTHOSTD_TIMEOUT": "0.1"})
        greeted.result(30)
    assert (status, text) == (75, "sendmail: smarthostd did not answer: timed out\n")
    assert list((tmp_path / "drop").iterdir()) == []


def test_the_answers_of_a_long_list_of_recipients_are_read_as_they_come(tmp_path: Path) -> None:
    """A daemon to which nobody listens does not listen either, and all of them together would fit into no buffer."""
    said: list[bytes] = []

    def answer() -> None:
        connection, _ = listening.accept()
        with connection, connection.makefile("rb") as commands:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            connection.sendall(b"220 hello\r\n")
            for line in commands:
                said.append(line)
                if line == b"QUIT\r\n":
                    break
                connection.sendall(b"250 " + b"x" * 100 + b"\r\n")

    with socket.socket(socket.AF_UNIX) as listening, ThreadPoolExecutor(1) as peer:
        listening.bind(str(tmp_path / "nobody.sock"))
        listening.listen()
        answered = peer.submit(answer)
        letter = Letter("me@d.example", [f"user{number}@d.example" for number in range(20_000)], b"x\r\n")
        conversation = Daemon(str(tmp_path / "nobody.sock"))
        conversation._timeout = 5.0
        try:
            conversation.hand_over(letter)
        finally:
            conversation._socket.close()
        answered.result(30)
    assert said[-2:] == [b"DATA\r\n", b"QUIT\r\n"]
    assert len(said) == 20_000 + 4


def test_a_drop_directory_that_is_full_keeps_nothing(tmp_path: Path) -> None:
    presence.root()
    (tmp_path / "drop").mkdir()
    script = 'mount -t tmpfs -o size=16k none "$0"; "$@"; echo "$?"; ls -A "$0"'
    full = [presence.program("unshare"), "--mount", "sh", "-c", script, str(tmp_path / "drop")]
    _, text = alone(tmp_path, ["a@d.example"], b"Subject: x\n\n" + b"x" * 100_000, before=full)
    assert text == (
        "75\n"
        f"sendmail: cannot reach smarthostd at {tmp_path}/nobody.sock: No such file or directory; "
        f"the message cannot be kept in {tmp_path}/drop: No space left on device; send it again\n"
    )


def test_a_drop_directory_that_may_not_be_written_keeps_nothing(tmp_path: Path) -> None:
    presence.root()
    (tmp_path / "drop").mkdir(mode=0o755)
    reachable(tmp_path)
    status, text = alone(tmp_path, ["a@d.example"], program=["-c", AS_NOBODY, "nobody"])
    assert status == 75
    assert text.endswith(f"the message cannot be kept in {tmp_path}/drop: Permission denied; send it again\n")
    assert list((tmp_path / "drop").iterdir()) == []


@pytest.mark.parametrize("name", ["mailq", "newaliases", "sendmail"])
def test_it_goes_by_three_names(tmp_path: Path, name: str) -> None:
    """As links to the installed program."""
    configuration = tmp_path / "smarthostd.conf"
    configuration.write_text(f"spool_directory = {tmp_path}/spool\nruntime_directory = {tmp_path}/run\n")
    program = tmp_path / name
    program.symlink_to(Path(sys.executable).with_name("smarthostd-sendmail"))
    environ = {**os.environ, "SMARTHOSTD_CONFIG": str(configuration)}
    done = subprocess.run(
        [program], env=environ, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False
    )
    told = (done.returncode, done.stdout.decode(), done.stderr.decode())
    assert (
        told
        == {
            "mailq": (0, "", ""),
            "newaliases": (0, "aliases are read where they are: there is nothing to build\n", ""),
            "sendmail": (64, "", "sendmail: there is no recipient: name one, or use -t and a To: header\n"),
        }[name]
    )


def test_what_cannot_be_said_to_the_daemon_is_not_kept_either(tmp_path: Path) -> None:
    (tmp_path / "drop").mkdir()
    assert alone(tmp_path, ["a@d.example\nDATA"])[0] == 65
    assert list((tmp_path / "drop").iterdir()) == []


def test_it_loads_next_to_nothing() -> None:
    """Each of these costs milliseconds at every ``sendmail``: a submission must take less than 40 of CPU."""
    code = "import sys; import smarthostd.sendmail.program, smarthostd.sendmail.drop; print(*sys.modules)"
    source = str(Path(sendmail.__file__).parents[2])
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.append({source!r}); {code}"]
    loaded = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.split()
    heavy = {"re", "socket", "enum", "pathlib", "typing", "json", "contextlib", "subprocess", "email", "site"}
    assert heavy.isdisjoint(loaded)
    ours = {name for name in loaded if name.startswith("smarthostd")}
    assert all(name == "smarthostd" or name.startswith("smarthostd.sendmail") for name in ours)


def test_it_runs_by_its_path_too(tmp_path: Path) -> None:
    """``python -I -S …/smarthostd/sendmail``, in half the time."""
    (tmp_path / "drop").mkdir()
    place = str(Path(sendmail.__file__).parent)
    assert alone(tmp_path, ["a@d.example"], program=["-I", "-S", place]) == (0, "")
    assert len(list((tmp_path / "drop").iterdir())) == 1


def alone(
    directory: Path,
    arguments: list[str],
    stdin: bytes = MESSAGE,
    program: Sequence[str] = ("-m", "smarthostd.sendmail"),
    before: Sequence[str] = (),
    environ: Mapping[str, str] = {},
) -> tuple[int, str]:
    """Run the program where no daemon is, behind the words *before*; its drop directory is ``drop``."""
    places = {"SMARTHOSTD_SUBMIT": str(directory / "nobody.sock"), "SMARTHOSTD_DROP": str(directory / "drop")}
    done = subprocess.run(
        [*before, sys.executable, *program, *arguments], input=stdin, env={**os.environ, **places, **environ},
        capture_output=True, timeout=30, check=False,
    )  # fmt: skip
    return done.returncode, (done.stdout + done.stderr).decode()
