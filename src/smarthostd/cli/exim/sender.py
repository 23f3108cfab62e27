"""The sender that a command line names with ``-f``, or the person who calls."""

from __future__ import annotations

from smarthostd.address import Address, AddressError
from smarthostd.cli.exim.arguments import BadCommandLine, CommandLine
from smarthostd.config import Settings
from smarthostd.expand.addresses import Mailboxes, NotAnAddress


def sender_of(line: CommandLine, settings: Settings, login: str = "") -> str:
    """Return the sender's address, qualified; empty for the null sender.

    Without ``-f`` it is *login* at this host; without a login nobody. Raises BadCommandLine for what is no address.
    """
    text = login if line.sender is None else line.sender
    if not text:
        return ""
    try:
        found = Mailboxes(utf8_domains=True).read(text, may_be_null=True)
        Address.of(found.local_part, found.domain)
    except (NotAnAddress, AddressError) as error:
        dotted = text.rstrip().endswith(".")
        complaint = "domain is malformed (trailing dot not allowed)" if dotted else str(error)
        raise BadCommandLine(f'exim: bad -f address "{text}": {complaint}') from error
    return f"{found.local_part}@{found.domain or settings.qualify_domain}" if found.local_part else ""
