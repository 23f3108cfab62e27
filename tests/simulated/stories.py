"""Random stories of a queue: retry rules, mail, hosts that serve or do not, and queue runs, over days.

Times are chosen so that nothing is due at the moment of a step: steps lie on a grid of ten minutes, and what rules
name lies off it. Two programs that need a second for a step then see the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

HOSTS = ("127.0.0.2", "127.0.0.3")
_PATTERNS = (
    "*", "*", "*", "127.0.0.2", "*@127.0.0.3", "any.example", "*@any.example", "a@any.example", "b@*", "*.example",
    "other.example", "later.example", "d@later.example",
)  # fmt: skip
_ERRORS = (
    "*", "*", "*", "*", "refused", "rcpt_4xx", "rcpt_45x", "mail_4xx", "mail_421", "data_4xx", "lost_connection",
    "timeout",
)  # fmt: skip
_CUTOFFS = (25, 55, 125, 245, 485, 1445)
_INTERVALS = (5, 15, 25, 35, 65)
_MAIN = ("auto_thaw = 2h5m", "timeout_frozen_after = 8h5m", "ignore_bounce_errors_after = 4h5m")
_FACTORS = ("1.3", "1.7")
_GAPS = (10, 10, 20, 30, 50, 80, 120, 200, 400)
_SENDERS = ("me@box.example", "me@box.example", "you@box.example", "")
_RECIPIENTS = (
    ("a@any.example",), ("b@any.example",), ("c@other.example",), ("a@any.example", "b@any.example"),
    ("d@later.example",),
)  # fmt: skip

REFUSED = "refused"
STATES: dict[str, dict[str, str | None]] = {
    "up": {},
    REFUSED: {},
    "greets 421": {"220": "421 busy"},
    "closes at EHLO": {"EHLO": None},
    "closes at MAIL": {"MAIL": None},
    "closes at RCPT": {"RCPT": None},
    "closes at the end": {".": None},
    "MAIL 421": {"MAIL": "421 no mail"},
    "MAIL 450": {"MAIL": "450 no mail"},
    "MAIL 550": {"MAIL": "550 no mail"},
    "RCPT 450": {"RCPT": "450 not now"},
    "RCPT 451": {"RCPT": "451 not now"},
    "RCPT 550": {"RCPT": "550 not him"},
    "DATA 451": {"DATA": "451 no data"},
    "end 452": {".": "452 no room"},
    "end 554": {".": "554 spam"},
}
"""What a host may be like: what it answers, by command."""
OF_HOSTS = ("up", REFUSED, "greets 421", "closes at EHLO", "closes at MAIL", "closes at RCPT")
"""States that are about the host. Where there are two hosts, no others: what the first one says of a message or a
recipient, and the second one's trouble after that, are kept apart in other ways (docs/exim.md)."""


@dataclass(frozen=True)
class Step:
    """What happens after *minutes*."""

    minutes: int
    what: str
    """``put``, ``run``, ``host`` or ``routes``: mail for later.example can be routed from now on."""
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Story:
    """A configuration, and what happens."""

    rules: tuple[str, ...]
    main: tuple[str, ...] = ()
    transport: tuple[str, ...] = ()
    router: tuple[str, ...] = ()
    hosts: tuple[str, ...] = HOSTS[:1]
    steps: tuple[Step, ...] = ()

    def __str__(self) -> str:
        lines = [*self.main, *self.rules, *self.transport, *self.router, " ".join(self.hosts)]
        return "\n".join([*lines, *(f"+{one.minutes}m {one.what} {' '.join(one.words)}" for one in self.steps)])


def story(random: Random) -> Story:
    """Return one."""
    return _Maker(random).story()


class _Maker:
    def __init__(self, random: Random) -> None:
        self._random = random

    def story(self) -> Story:
        random = self._random
        rules = [self._rule() for _ in range(random.choice((0, 1, 2)))]
        hosts = HOSTS[: random.choice((1, 1, 2))]
        # Without a rule for it, Exim forgets a host at once, and asks it for each message; we wait for a second.
        rules.append(f"*  *  {self._periods()}")
        # Exim gives up all addresses of a transaction with the first one, even where their own times go on.
        self._alone = random.random() < 0.3
        self._together = self._alone and not any(rule.startswith(("a@", "b@")) for rule in rules)
        return Story(
            tuple(rules),
            self._some(*_MAIN),
            self._some("no_delay_after_cutoff", "no_address_retry_include_sender"),
            self._some("retry_use_local_part"),
            hosts,
            tuple(self._steps(hosts)),
        )

    def _some(self, *options: str) -> tuple[str, ...]:
        return tuple(one for one in options if self._random.random() < 0.3)

    # -- rules

    def _rule(self) -> str:
        return f"{self._random.choice(_PATTERNS)}  {self._random.choice(_ERRORS)}  {self._periods()}"

    def _periods(self) -> str:
        cutoffs = sorted(self._random.sample(_CUTOFFS, self._random.choice((1, 1, 2, 3))))
        return "; ".join(self._period(cutoff) for cutoff in cutoffs)

    def _period(self, cutoff: int) -> str:
        random = self._random
        interval = random.choice(_INTERVALS)
        if random.random() < 0.5:
            return f"F,{cutoff}m,{interval}m"
        return f"G,{cutoff}m,{interval}m,{random.choice(_FACTORS)}"

    # -- what happens

    def _steps(self, hosts: tuple[str, ...]) -> list[Step]:
        """Return the steps; forced runs with one message alone: we send no second one to a host that is down."""
        random = self._random
        states = [random.choice(list(STATES) if len(hosts) == 1 else OF_HOSTS) for _ in range(3)] + [REFUSED]
        steps = [Step(0, "host", (hosts[0], random.choice(states))), self._put(0)]
        for _ in range(random.choice((6, 10, 16))):
            chance, gap = random.random(), random.choice(_GAPS)
            if chance < 0.15 and not self._alone:
                steps.append(self._put(gap))
            elif chance < 0.3:
                steps.append(Step(0, "host", (random.choice(hosts), random.choice(states))))
            elif chance < 0.35:
                steps.append(Step(0, "routes"))
            else:
                steps.append(Step(gap, "run", (random.choice(("-q", "-q", "-qf" if self._alone else "-q")),)))
        return steps

    def _put(self, minutes: int) -> Step:
        to = self._random.choice(_RECIPIENTS)
        return Step(minutes, "put", (self._random.choice(_SENDERS), *(to if self._together else to[:1])))
