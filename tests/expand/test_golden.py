"""``exim -be`` and ``-bem``, as the real Exim 4.96 answered."""

from __future__ import annotations

import pathlib
from pathlib import Path

import pytest

from smarthostd.errors import ExpansionError, ForcedFailure
from smarthostd.expand import Values
from tests.golden import Record, records
from tests.language import expander, facts_of

_MACRO = "macros are the command line's business: tests/cli/test_golden.py asks it"
LISTED: dict[str, str] = {
    **dict.fromkeys(("exp-macro-0934", "exp-macro-0937", "exp-macro-0938", "exp-macro-0940"), _MACRO),
}
"""Records that we answer differently, each with its reason."""


def message_values(text: str, sender: str) -> Values:
    header, _, body = text.partition("\n\n")
    local_part, _, domain = sender.rpartition("@")
    return {
        "message_headers_raw": header + "\n",
        "message_headers": header + "\n",
        "message_body": body.replace("\n", " "),
        "sender_address": sender,
        "sender_address_local_part": local_part,
        "sender_address_domain": domain,
        "message_size": str(len(text.encode())),
        "message_body_size": str(len(body.encode())),
        "message_linecount": str(text.count("\n")),
        "body_linecount": str(body.count("\n")),
        "reply_address": next(
            (line[10:].strip() for line in header.split("\n") if line[:9].lower() == "reply-to:"), ""
        ),
    }


@pytest.mark.parametrize("record", records("expand"))
def test_an_expansion_is_that_of_exim(record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if record.id in LISTED:
        pytest.skip(LISTED[record.id])
    record = record.placed(tmp_path)
    for name in ("PATH", "HOME"):
        monkeypatch.delenv(name, raising=False)
    values: Values = {"authenticated_id": "root"}
    text = record.input if isinstance(record.input, str) else record.input.get("string", "")
    if record.kind == "expand-message":
        content = pathlib.Path(record.input["message_file"]).read_text(encoding="utf-8", errors="surrogateescape")
        values = message_values(content, record.input["sender"])
    expected = record.expect
    if expected.get("ok"):
        assert expander(facts_of(record.config)).expand(text, values) == expected["value"]
        return
    with pytest.raises(ExpansionError) as caught:
        expander(facts_of(record.config)).expand(text, values)
    assert isinstance(caught.value, ForcedFailure) is bool(expected.get("forced_fail"))
    if expected.get("error"):  # where Exim forgot to say anything, we do
        assert str(caught.value) == expected["error"]
