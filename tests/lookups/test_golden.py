"""One lookup of one key in one file, as the real Exim 4.96 answered."""

from __future__ import annotations

from pathlib import Path

import pytest

from smarthostd.errors import ExpansionError
from tests.golden import Record, records
from tests.language import expander, facts_of


@pytest.mark.parametrize("record", records("lookup"))
def test_a_lookup_finds_what_exim_finds(record: Record, tmp_path: Path) -> None:
    record = record.placed(tmp_path)
    expand = expander(facts_of(record.config))
    key = record.input["key"].replace("\\", "\\\\").replace("$", "\\$").replace("}", "\\}").replace("{", "\\{")
    text = f"${{lookup{{{key}}}{record.input['type']}{{{record.input['file']}}}{{=$value|$0|$1|$2}}{{-}}}}"
    if "error" in record.expect:
        with pytest.raises(ExpansionError) as caught:
            expand.expand(text)
        assert str(caught.value) == record.expect["error"]
        return
    answer = expand.expand(text)
    if not record.expect["found"]:
        assert answer == "-"
        return
    assert answer.startswith("=")
    data, *numbered = answer[1:].rsplit("|", 3)
    assert data == record.expect["data"]
    for number, value in record.expect.get("vars", {}).items():
        assert numbered[int(number)] == value, number
