"""A reply in plain words."""

from __future__ import annotations

import pytest

from smarthostd.bounce import meanings
from smarthostd.bounce.meanings import MEANINGS
from smarthostd.reply import Reply


@pytest.mark.parametrize(
    ("reply", "key"),
    [
        pytest.param(Reply(550, "5.1.1 no such user"), "1.1", id="the enhanced code"),
        pytest.param(Reply(450, "4.2.2 over quota"), "2.2", id="whatever its class"),
        pytest.param(Reply(550, "5.2.99 odd"), "2", id="its subject, where the detail is unknown"),
        pytest.param(Reply(550, "5.7.1234 odd"), "550", id="too long a detail is no enhanced code"),
        pytest.param(Reply(552, "5.0.0 no"), "552", id="X.0.0 says nothing, the code does"),
        pytest.param(Reply(552, "too much"), "552", id="no enhanced code"),
        pytest.param(
            Reply(550, "5.7.60 SMTP; Client does not have permissions to send as this sender"), "7.60", id="M365"
        ),
    ],
)
def test_the_row_that_is_found(reply: Reply, key: str) -> None:
    assert meanings.of_reply(reply) == MEANINGS[key]


def test_an_unknown_code_has_no_meaning() -> None:
    assert meanings.of_reply(Reply(599, "what")) == ""


@pytest.mark.parametrize("sentence", [*MEANINGS.values(), *meanings.LOCAL_MEANINGS.values()])
def test_a_meaning_is_one_sentence_in_plain_letters(sentence: str) -> None:
    assert sentence.endswith(".")
    assert sentence.isascii()
    assert ". " not in sentence
