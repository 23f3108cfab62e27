"""The command line: forms that programs use, and words that would be misunderstood."""

from __future__ import annotations

import pytest

from smarthostd.sendmail.arguments import read
from smarthostd.sendmail.status import Stop


@pytest.mark.parametrize(
    ("line", "said"),
    [
        pytest.param("-t -i", {"from_header": True, "dot_ends": False}, id="as PHP calls it"),
        pytest.param("-ti", {"from_header": True, "dot_ends": False}, id="flags together"),
        pytest.param("-oi -oem -odb a@b", {"dot_ends": False, "recipients": ["a@b"]}, id="as mailx calls it"),
        pytest.param(
            "-FCronDaemon -i -B8BITMIME -oem root", {"full_name": "CronDaemon", "recipients": ["root"]}, id="as cron"
        ),
        pytest.param(
            "-oem -oi -f a@b -- c@d e@f",
            {"sender": "a@b", "dot_ends": False, "recipients": ["c@d", "e@f"]},
            id="as mutt calls it",
        ),
        pytest.param(
            "-i -fa@b c@d", {"sender": "a@b", "dot_ends": False, "recipients": ["c@d"]}, id="as git send-email calls it"
        ),
        pytest.param("-bs -odb -oem", {"mode": "s", "recipients": []}, id="as alpine calls it"),
        pytest.param("-i -r a@b -- c@d", {"sender": "a@b", "recipients": ["c@d"]}, id="as s-nail calls it"),
        pytest.param(
            "-t -i -fa@b", {"sender": "a@b", "from_header": True, "dot_ends": False}, id="as PHP calls it with a sender"
        ),
        pytest.param("-oMr smtp -oMa 192.0.2.1 a@b", {"recipients": ["a@b"]}, id="what only Exim has"),
        pytest.param("-oMrsmtp a@b", {"recipients": ["a@b"]}, id="and what sendmail has"),
        pytest.param("-f a@b c@d", {"sender": "a@b", "recipients": ["c@d"]}, id="a sender in the next word"),
        pytest.param("-ra@b c@d", {"sender": "a@b"}, id="a sender in the same word, by another name"),
        pytest.param("-f <> c@d", {"sender": ""}, id="the null sender"),
        pytest.param("-f <a@b> c@d", {"sender": "a@b"}, id="a sender in brackets"),
        pytest.param("a@b -t", {"recipients": ["a@b"], "from_header": True}, id="options behind arguments"),
        pytest.param("-i -- -x@b", {"recipients": ["-x@b"]}, id="two hyphens end the options"),
        pytest.param(
            "-N success,failure -R hdrs -V id a@b",
            {"notify": "success,failure", "ret": "hdrs", "envid": "id", "recipients": ["a@b"]},
            id="delivery status notifications",
        ),
        pytest.param("-h 3 -O Timeout=1 -L tag -X /f -p smtp:x a@b", {"recipients": ["a@b"]}, id="swallowed words"),
        pytest.param("-G -U -m -n -oo -odq -oee a@b", {"recipients": ["a@b"]}, id="swallowed flags"),
        pytest.param("-oeq a@b", {"quiet": True}, id="errors are not told"),
        pytest.param("-bm a@b", {"mode": "m"}, id="a message"),
        pytest.param("-bs", {"mode": "s"}, id="SMTP"),
        pytest.param("-bp", {"mode": "p"}, id="the queue"),
        pytest.param("-bv a@b", {"mode": "v"}, id="verify"),
        pytest.param("-I", {"mode": "i"}, id="aliases"),
        pytest.param("-q", {"mode": "q", "queue": ""}, id="a queue run"),
        pytest.param("-qff", {"mode": "q", "queue": "ff"}, id="a queue run with everything"),
        pytest.param("-C /x/y.conf a@b", {"config": "/x/y.conf"}, id="a configuration"),
    ],
)
def test_a_command_line(line: str, said: dict[str, object]) -> None:
    options = read(["/usr/sbin/sendmail", *line.split()])
    assert {name: getattr(options, name) for name in said} == said


@pytest.mark.parametrize(
    ("name", "mode"), [("mailq", "p"), ("newaliases", "i"), ("/usr/bin/runq", "q"), ("/usr/lib/sendmail", "m")]
)
def test_the_name_that_it_is_called_by(name: str, mode: str) -> None:
    assert read([name]).mode == mode


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        pytest.param("-Z", "-Z is not known", id="an unknown option"),
        pytest.param("-f", "-f needs an argument", id="nothing behind it"),
        pytest.param("-bd", "smarthostd run", id="the daemon"),
        pytest.param("-bS", "-bS is not there", id="batch SMTP"),
        pytest.param("-N a\u00a0b", "one word of ASCII", id="a parameter that cannot be said"),
    ],
)
def test_what_would_be_misunderstood_is_refused(line: str, complaint: str) -> None:
    with pytest.raises(Stop, match=complaint) as caught:
        read(["sendmail", *line.split(" ")])
    assert caught.value.status == 64
