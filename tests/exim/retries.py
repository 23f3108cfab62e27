"""Random retry rules, and what they are asked for: addresses, hosts, and errors."""

from __future__ import annotations

from random import Random

_PATTERNS = (
    "*", "a.example", "*.b.example", "*@a.example", "boss@b.example", "boss@*", "^x", "*b", "A.Example", "+friends",
    "*@+locals", '"a.example"', "^.*@a\\\\.", "$qualify_domain", "lsearch;{file}", "*@lsearch;{file}", "@",
    "*@*.example", "!a.example", "10.1.2.3", "*@10.1.2.3", "host.example", "${{if eq{{a}}{{b}}{{x}}fail}}",
    "*s@b.example", "a.example:z",
)  # fmt: skip
_ERRORS = (
    "*", "refused", "refused_A", "refused_MX", "timeout", "timeout_connect", "timeout_A", "timeout_connect_MX", "quota",
    "quota_3d", "rcpt_4xx", "rcpt_45x", "rcpt_452", "mail_421", "data_4xx", "auth_failed", "lost_connection",
    "tls_required", "lookup", "refu", "QUOTA", "Refused_mx", "auth", "rcpt_4x1", "quota_x", "", "4xx",
    "timeout_connect_", "lost", "rcpt_5xx",
)  # fmt: skip
_STEPS = (
    "F,2h,15m", "G,16h,1h,1.5", "F,4d,6h", "H,1d,10m,2", "f,1h,5m", "F, 1h , 5m", "G,1d,1h,2.123", "F,1w2d,1h30m",
    "G,1h,1m,1", "G,2h,1m,0.5", "F,1h", "X,1h,1m", "F,1h,5", "G,1h,1m,1.2345", "H,1h,1m,1.", "F,0s,1m", "F;1h,1m",
    "F,1h,5m,3",
)  # fmt: skip
_GOOD_ERRORS, _GOOD_STEPS = 19, 9
"""So many of the errors and steps are well-formed."""
_SUBJECTS = (
    "a.example", "x.b.example", "boss@b.example", "u@a.example", "host.example", "10.1.2.3", "U@A.Example", "x@y",
    "root", "@", "u@", "host.example:10.1.2.3", "boss@b.example ", "", "*", "x.other", "[10.1.2.3]",
)  # fmt: skip
_DOMAINS = ("a.example", "x.b.example", "h.example", "other", "q.example")


class Maker:
    """Makes them; *file* is an lsearch file."""

    def __init__(self, random: Random, file: str) -> None:
        self._random = random
        self._file = file

    def rules(self) -> list[str]:
        """Return the lines of a retry section; in a few sections one is mistaken."""
        random = self._random
        rules = [self._rule() for _ in range(random.choice((1, 2, 4, 6)))]
        if random.random() < 0.2:
            rules.append(f"*  {random.choice(_ERRORS)}  {random.choice(_STEPS)}; {random.choice(_STEPS)}")
        return rules

    def _rule(self) -> str:
        random = self._random
        pattern = random.choice(_PATTERNS).format(file=self._file)
        senders = random.choice(("", "", "", "", "senders=*@a.example  ", 'senders = "u@x : *"  ', "senders=:  "))
        separator = random.choice(("; ", ";", " ; "))
        steps = separator.join(random.choice(_STEPS[:_GOOD_STEPS]) for _ in range(random.randrange(4)))
        return f"{pattern}  {random.choice(_ERRORS[:_GOOD_ERRORS])}  {senders}{steps}"

    def question(self) -> list[str]:
        """Return the words behind ``-brt``."""
        random = self._random
        words = [random.choice(_SUBJECTS)]
        if random.random() < 0.3:
            words.append(random.choice(_DOMAINS))
        if random.random() < 0.7:
            words.append(random.choice(_ERRORS))
        return words
