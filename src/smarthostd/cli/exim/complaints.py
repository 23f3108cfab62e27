"""What is wrong with a message that a command line brings, told in Exim's ways: by mail to its sender, or on stderr.

``-oem`` (the usual) and ``-oew`` tell the sender by mail, and the exit status is 1; ``-oee`` does, and it is 0;
``-oep`` and ``-oeq`` tell it on standard error. Who has no address cannot be told by mail: the log says it then, and
the exit status is 2, or 1.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from smarthostd.address import NULL_SENDER, Address
from smarthostd.cli.exim.arguments import CommandLine
from smarthostd.cli.exim.entrance import Entrance
from smarthostd.cli.exim.message import fields_of
from smarthostd.envelope import Client, Envelope, Recipient
from smarthostd.errors import ExpansionError, Refused, SpoolError
from smarthostd.expand import Expander

NOBODY_TO_TELL = 2
"""The exit status where there is no recipient, and no sender to be told of it (Exim's)."""
OUR_LOGIN = "smarthostd"
"""Who writes to the sender; as in ``bounce``."""
_IGNORED = {
    1: "This address has been ignored. ",
    2: "These addresses have been ignored. ",
}


class Bad(Struct, frozen=True):
    """An address, or what was meant for one, and what is wrong with it."""

    text: str
    complaint: str


class Complaint(Struct, frozen=True):
    """What is told: by mail (a subject and a text), on standard error, and where nobody can be told, in the log."""

    subject: str
    text: str
    on_stderr: str
    in_log: str = ""


def bad_argument(bad: Bad) -> Complaint:
    """An argument is no address: the message is not taken."""
    hint = "Recipient addresses must not end with a '.' character.\n\n" if bad.text.endswith(".") else ""
    return Complaint(
        "Mail failure - malformed recipient address",
        "A message that you sent contained a recipient address that was incorrectly\nconstructed:\n\n"
        f"  {bad.text}  {bad.complaint}\n\n{hint}The message has not been delivered to any recipients.\n",
        f'exim: bad recipient address "{bad.text}": {bad.complaint}',
        f"at least one malformed recipient address: {bad.text} - {bad.complaint}",
    )


def bad_in_header(bad: Sequence[Bad], *, others: bool) -> Complaint:
    """With ``-t``, some of the header's recipients are none; *others* are good."""
    lines = [f"  {one.text}: {one.complaint}\n" for one in bad]
    on_stderr = f"exim: invalid address:{lines[0]}" if len(bad) == 1 else "exim: invalid addresses:\n" + "".join(lines)
    rest = (
        "The other addresses in the message were\nsyntactically valid and have been passed on for an attempt at"
        " delivery.\n"
        if others
        else "There were no other addresses in your\nmessage, and so no attempt at delivery was possible.\n"
    )
    return Complaint(
        "Mail failure - malformed recipient address",
        "A message that you sent contained one or more recipient addresses that were\nincorrectly constructed:\n\n"
        f"{''.join(lines)}\n{_IGNORED[min(len(bad), 2)]}{rest}",
        on_stderr.rstrip("\n"),
        f"at least one malformed recipient address: {bad[0].text} - {bad[0].complaint}",
    )


NO_RECIPIENTS = Complaint(
    "Mail failure - no recipient addresses",
    "A message that you sent contained no recipient addresses, and therefore no\ndelivery could be attempted.\n",
    "exim: no recipients in message",
    "no recipient addresses",
)
ALL_OVERRIDDEN = Complaint(
    "Mail failure - no recipient addresses",
    "A message that you sent using the -t command line option contained no\n"
    "addresses that were not also on the command line, and were therefore\n"
    "suppressed. This left no recipient addresses, and so no delivery could\n"
    "be attempted.\n",
    "exim: all -t recipients overridden by command line",
    "no recipient addresses",
)


def too_many_recipients(limit: int) -> Complaint:
    """There are more than ``recipients_max``."""
    return Complaint(
        "Mail failure - too many recipients",
        "A message that you sent contained more recipients than allowed on this\n"
        "system. It was not delivered to any recipients.\n",
        "exim: too many recipients",
        f"too many recipients (max {limit})",
    )


def too_big(limit: int) -> Complaint:
    """It is larger than ``message_size_limit``."""
    return Complaint(
        "Mail failure - message too big",
        "A message that you sent was longer than the maximum size allowed on this\n"
        "system. It was not delivered to any recipients.\n",
        f"exim: message rejected: message too big (max={limit})",
        f"message too big (limit set to {limit})",
    )


def header_too_big(limit: int) -> Complaint:
    """Its header is larger than ``header_maxsize``."""
    return Complaint(
        "Mail failure - overlong header section",
        "A message that you sent contained a header section that was excessively\n"
        "long and could not be handled by the mail transmission software. The\n"
        "message has not been delivered to any recipients.\n",
        f"exim: message header longer than {limit} characters received: message not accepted",
        f"excessively long message header section read (max {limit})",
    )


def refused(why: str) -> Complaint:
    """The door did not take it."""
    return Complaint(
        "Mail failure - rejected",
        f"A message that you sent was not accepted on this system:\n\n  {why}\n\nIt was not delivered to any"
        " recipients.\n",
        f"exim: message rejected: {why}",
        f"rejected: {why}",
    )


class Sufferer(Struct, frozen=True):
    """The message that a complaint is about: whose it is, its id if it has one, and a copy of it."""

    sender: Address
    id: str
    header: str
    """Empty where it has not been read: the copy is then an empty line, and all there is."""
    body: str

    @property
    def size(self) -> int:
        """How large it is."""
        return len(self.header) + len(self.body)


async def complain(way: Entrance, complaint: Complaint, about: Sufferer) -> bool:
    """Tell the sender by mail; return whether that could be done."""
    if not about.sender:
        reference = f" (R={way.line.parent})" if way.line.parent else ""
        text = f"Error while reading message with no usable sender address{reference}: {complaint.in_log}"
        way.log.told(about.id, text) if about.id else way.log.noted(text)
        return False
    content = _letter(way, complaint, about)
    client = Client(login=OUR_LOGIN)
    envelope = Envelope(
        NULL_SENDER, (Recipient(about.sender),), body="8BITMIME" * (not content.isascii()), client=client
    )
    incoming = way.door.begin()
    incoming.sink.write(content)
    try:
        await way.report(await way.door.accept(incoming, envelope, parent=about.id))
    except (Refused, SpoolError) as error:
        incoming.sink.discard()
        way.log.noted(f"{about.sender} could not be told of a message that was not taken: {error}")
        return False
    return True


def status(line: CommandLine, *, told: bool) -> int:
    """Return the exit status of a message that was not taken."""
    return int(not told or line.errors != "e")


def _letter(way: Entrance, complaint: Complaint, about: Sufferer) -> bytes:
    settings = way.loaded.settings
    to = str(about.sender.qualified(settings.qualify_domain))
    head = [
        *[f"Reply-To: {settings.errors_reply_to}"] * bool(settings.errors_reply_to),
        "Auto-Submitted: auto-replied",
        f"From: {_from(way)}",
        f"To: {to}",
        *[f"References: {text.strip()}" for name, text in fields_of(about.header) if name == "message-id"][:1],
        f"Subject: {complaint.subject}",
    ]
    text = "\n".join([*head, "", complaint.text]) + _copy(way, about)
    return text.encode("utf-8", "surrogateescape").replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def _from(way: Entrance) -> str:
    settings = way.loaded.settings
    expander: Expander = way.expander
    try:
        return " ".join(expander.expand(settings.dsn_from).split())
    except ExpansionError:
        return f"Mail Delivery System <Mailer-Daemon@{settings.qualify_domain}>"


def _copy(way: Entrance, about: Sufferer) -> str:
    """Return the message as it comes back: as much as ``bounce_return_…`` allows."""
    settings = way.loaded.settings
    if not settings.bounce_return_message:
        return ""
    if not settings.bounce_return_body:
        return f"\n------ This is a copy of the headers of your message. ------\n\n{about.header}\n"
    limits = [limit for limit in (settings.bounce_return_size_limit, int(way.policy.message_size_limit)) if limit]
    limit = min(limits, default=0)
    begin = "\n------ This is a copy of your message, including all the headers."
    if not limit or about.size <= limit:
        return f"{begin} ------\n\n{about.header}\n{about.body}"
    shown = f"{limit >> 10}K" if limit % 1024 == 0 else str(limit)
    told = f"------ No more than {shown} characters of the body are included."
    return f"{begin}\n{told}\n\n{about.header}\n{about.body[:limit]}"
