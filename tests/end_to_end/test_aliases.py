"""What an alias file may name: files, directories, failures; each recipient ends where the file says."""

from __future__ import annotations

from tests.end_to_end import clients
from tests.end_to_end.conftest import StartDaemon
from tests.end_to_end.relay import LOCAL_DOMAIN, Places

MESSAGE = b"From: me@app.example\r\nSubject: hello\r\n\r\nhello\r\n"


def aliased(places: Places) -> str:
    """Return a configuration that delivers by an alias file."""
    return f"""{places.main()}
begin routers

aliases:
  driver = redirect
  data = ${{lookup{{$local_part}}lsearch{{{places.directory}/aliases}}}}
  allow_fail
  file_transport = address_file
  directory_transport = address_directory
  pipe_transport = address_file

begin transports

address_file:
  driver = appendfile

address_directory:
  driver = appendfile
  maildir_format
"""


def test_files_and_directories_named_by_aliases_get_the_mail(places: Places, daemon: StartDaemon) -> None:
    """One recipient goes into a file and a Maildir at once, another fails as the file says, a pipe waits."""
    box, maildir = places.directory / "box", places.directory / "Maildir"
    (places.directory / "aliases").write_text(f'both: {box}, {maildir}/\ngone: :fail: moved away\npipe: "|/bin/cat"\n')
    relay = daemon(aliased(places))
    recipients = [f"{name}@{LOCAL_DOMAIN}" for name in ("both", "gone", "pipe")]
    clients.smtplib_(places.port, "me@app.example", recipients, MESSAGE)
    relay.lines.wait_for(rf" => {maildir}/ <both@home\.example> R=aliases T=address_directory")
    relay.lines.wait_for(r" \*\* gone@home\.example R=aliases: moved away")
    relay.lines.wait_for(r" == \|/bin/cat <pipe@home\.example> R=aliases .*pipes are not run by smarthostd")
    relay.lines.wait_for(rf" => {box} <both@home\.example> R=aliases T=address_file")
    assert MESSAGE.replace(b"\r\n", b"\n") in box.read_bytes()
    (file,) = (maildir / "new").iterdir()
    assert file.read_bytes().endswith(MESSAGE.replace(b"\r\n", b"\n"))
