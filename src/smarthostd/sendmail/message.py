"""A message as programs write it, made into one that can be sent: octets in, octets out.

Local line ends become CRLF; a line of one dot ends the message unless told otherwise; a mailbox's ``From `` line goes;
where the text begins without a header (``echo hello | sendmail root``) the empty line in front of the body is put in.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_ADDRESS_FIELDS = ("to", "cc", "bcc")


def wire_form(octets: bytes, *, dot_ends: bool) -> bytes:
    """Return the message with CRLF line ends and nothing that SMTP cannot carry: a NUL becomes a question mark."""
    text = octets.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\0", b"?")
    if dot_ends:
        end = 0 if text.startswith(b".\n") else text.find(b"\n.\n") + 1 or len(text)
        text = text[:end]
        if text == b"." or text.endswith(b"\n."):  # the last line, without its end
            text = text[:-1]
    if text.startswith(b"From "):
        text = text.partition(b"\n")[2]
    if text and not text.endswith(b"\n"):
        text += b"\n"
    return _with_empty_line(text).replace(b"\n", b"\r\n")


def _with_empty_line(text: bytes) -> bytes:
    """Return *text* with an empty line behind its last header line, where one is missing."""
    at = 0
    while at < len(text):
        end = text.find(b"\n", at) + 1
        line = text[at:end]
        if line == b"\n":
            return text
        if not (_is_field(line) or (at and line[:1] in b" \t")):
            return text[:at] + b"\n" + text[at:]
        at = end
    return text + b"\n"


def _is_field(line: bytes) -> bool:
    """Whether *line* begins a header field: printing ASCII, perhaps white space, a colon."""
    name, colon, _ = line.partition(b":")
    name = name.rstrip(b" \t")
    return bool(colon and name) and all(33 <= octet <= 126 for octet in name)


def header_fields(message: bytes) -> tuple[list[tuple[str, bytes]], bytes]:
    """Return the header's fields, each with its name in lower case and its lines, and what follows them."""
    header, _, body = message.partition(b"\r\n\r\n")
    found: list[tuple[str, bytes]] = []
    for line in header.split(b"\r\n") if header and not message.startswith(b"\r\n") else []:
        if line[:1] in (b" ", b"\t") and found:
            name, lines = found[-1]
            found[-1] = (name, lines + line + b"\r\n")
        else:
            name = line.partition(b":")[0].rstrip(b" \t").lower().decode("ascii", "replace")
            found.append((name, line + b"\r\n"))
    return found, message.removeprefix(b"\r\n") if message.startswith(b"\r\n") else body


def recipients_of(message: bytes) -> tuple[bytes, list[str]]:
    """Return *message* without its Bcc lines, and the addresses of To, Cc and Bcc; of the ``Resent-`` ones if any."""
    fields, body = header_fields(message)
    resent = any(name.startswith("resent-") for name, _ in fields)
    wanted = [f"resent-{name}" for name in _ADDRESS_FIELDS] if resent else list(_ADDRESS_FIELDS)
    found = []
    for name, lines in fields:
        if name in wanted:
            text = lines.partition(b":")[2].replace(b"\r\n", b"").replace(b"\t", b" ")
            found += addresses_in(text.decode("utf-8", "surrogateescape"))
    kept = b"".join(lines for name, lines in fields if name not in ("bcc", "resent-bcc"))
    return kept + b"\r\n" + body, found


def addresses_in(text: str) -> list[str]:
    """Return the addresses of a list as headers and arguments have it: ``Name <a@b>, c@d (Comment)``, groups too."""
    found: list[str] = []
    address: list[str] = []
    angle = complete = False
    for char, literal in _marked(text):
        if char == "<" and not literal:  # what stood here was a name
            address, angle, complete = [], True, False
        elif char == ">" and not literal:
            angle, complete = False, True
        elif char in ",;" and not (literal or angle):
            found.append("".join(address).strip())
            address, complete = [], False
        elif char == ":" and not (literal or angle):  # and this the name of a group
            address = []
        elif not complete:
            address.append(char)
    found.append("".join(address).strip())
    return [one for one in found if one]


def _marked(text: str) -> "Iterator[tuple[str, bool]]":
    """Yield the characters of *text* without comments, each with whether it is literal: quoted, or in brackets."""
    depth = 0
    closing = ""
    escaped = False
    for char in text:
        if escaped or char == "\\":
            escaped = not escaped
            if not depth:
                yield char, True
        elif depth or (char == "(" and not closing):
            depth += (char == "(") - (char == ")")
        elif closing:
            closing = "" if char == closing else closing
            yield char, True
        else:
            closing = {'"': '"', "[": "]"}.get(char, "")
            yield char, bool(closing)


def with_sender_name(message: bytes, name: str, sender: str) -> bytes:
    """Return *message* with a From line of *name* and *sender*, where it has none and there are both."""
    fields, _ = header_fields(message)
    wanted = "resent-from" if any(field.startswith("resent-") for field, _ in fields) else "from"
    if not (name and sender) or any(field == wanted for field, _ in fields):
        return message
    field = "Resent-From" if wanted == "resent-from" else "From"
    return f"{field}: {_phrase(name)} <{sender}>\r\n".encode("utf-8", "surrogateescape") + message


def _phrase(name: str) -> str:
    """Return *name* as it may stand in front of an address: in quotes, unless it is plain words."""
    words = "".join(char if char.isprintable() else " " for char in name)
    if all(char.isalnum() or char in "!#$%&'*+-/=?^_`{|}~ " for char in words):
        return words
    escaped = words.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
