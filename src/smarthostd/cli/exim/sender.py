"""The sender that a command line names with ``-f``, or the person who calls."""

from __future__ import annotations

from smarthostd.cli.exim.arguments import BadCommandLine, CommandLine
from smarthostd.config import Settings
from smarthostd.expand.addresses import extract


def sender_of(line: CommandLine, settings: Settings, login: str = "") -> str:
    """Return the sender's address, qualified; empty for the null sender.

    Without ``-f`` it is *login* at this host; without a login nobody. Raises BadCommandLine for what is no address.
    """
    text = login if line.sender is None else line.sender
    if text.strip() in ("", "<>"):
        return ""
    found = extract(text)
    if found is None:
        raise BadCommandLine(f'exim: bad -f address "{text}": malformed address')
    local_part, domain = found
    return f"{local_part}@{domain or settings.qualify_domain}"
