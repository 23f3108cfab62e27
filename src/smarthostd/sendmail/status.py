"""Exit statuses (sysexits.h), and the end of the program as an exception."""

OK, USAGE, DATA_ERROR, NO_USER, UNAVAILABLE, SOFTWARE = 0, 64, 65, 67, 69, 70
IO_ERROR, TEMPFAIL, NOT_PERMITTED, CONFIG = 74, 75, 77, 78


class Stop(Exception):
    """The end: an exit status, and a sentence for it."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Unreachable(Stop):
    """The daemon takes no mail now, and has seen nothing of this message: it may be kept elsewhere."""

    def __init__(self, text: str) -> None:
        super().__init__(TEMPFAIL, text)


def shown(text: str) -> str:
    """Return *text* for a terminal: control characters and stray octets become question marks."""
    return "".join(char if char.isprintable() else "?" for char in text)
