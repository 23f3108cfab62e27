"""Lines of one length, as encoded attachments have: checked by their columns, not one by one."""

from __future__ import annotations

MANY = 8
"""Lines that must follow one another for a run to be worth a look."""


def run_of_equal_lines(block: bytes) -> tuple[int, int, int]:
    """Return a run of lines in *block*: where it begins, where it ends, and how many octets each line has.

    Behind the beginning of *block* and up to the end of a line, each of the lines ends with CRLF and has no other CR or
    LF. The run is one around the middle of *block*; there may be others. All are 0 where there is none.
    """
    first = block.find(b"\n", len(block) // 2)
    length = block.find(b"\n", first + 1) - first
    if first < 0 or length < 2 or block[first : first + MANY * length : length] != b"\n" * MANY:
        return 0, 0, 0
    ends = block[first % length :: length]  # where LFs would be if all lines were of this length
    middle = first // length
    above = middle - len(ends[:middle].rstrip(b"\n"))
    below = len(ends) - middle - len(ends[middle:].lstrip(b"\n")) - 1
    start, stop = first + 1 - above * length, first + 1 + below * length
    lines = bytearray(memoryview(block)[start:stop])
    column = b"\r" * (above + below)
    if lines[length - 2 :: length] != column:
        return 0, 0, 0
    lines[length - 2 :: length] = lines[length - 1 :: length] = bytes(len(column))
    return (0, 0, 0) if b"\r" in lines or b"\n" in lines else (start, stop, length)
