"""Random deliveries in the form of the golden records: a configuration, servers with their scripts, and steps.

A scene begins as the golden records' usual configuration and gets a few variations of each part. What is made is what
both programs have: no ACLs, filters, pipes. Nothing here has two outcomes that could come in either order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from tests.exim import pools


@dataclass(frozen=True)
class Scene:
    """One record without what came of it, in parts that can be left out one by one."""

    main: tuple[str, ...] = ()
    selectors: tuple[str, ...] = ()
    rewrites: tuple[str, ...] = ()
    routers: tuple[str, ...] = ()
    aliasing: tuple[str, ...] = ()
    smarthost: tuple[str, ...] = ()
    smtp: tuple[str, ...] = ()
    local: tuple[str, ...] = ()
    authenticators: tuple[str, ...] = ()
    retry: tuple[str, ...] = ()
    route: str = pools.ROUTES[0]
    servers: tuple[tuple[str, tuple[tuple[tuple[str, Any], ...], ...]], ...] = (("127.0.0.10", ((),)),)
    """Each server's scripts as pairs, one script a connection."""
    steps: tuple[dict[str, Any], ...] = field(default=())

    @property
    def config(self) -> str:
        """The text of the configuration; an option that is given again takes the first one's place."""
        selectors = f"log_selector = {' '.join(self.selectors)}\n" if self.selectors else ""
        aliases = ("data = ${lookup{$local_part}lsearch{@DIR@/aliases}}", "allow_fail", "allow_defer")
        added = ("delivery_date_add", "envelope_to_add", "return_path_add")
        local = ("file = @DIR@/spool/mbox", "user = Debian-exim", *added)
        rewrites = "\nbegin rewrite\n" + _lines(self.rewrites, "") if self.rewrites else ""
        authenticators = "\nbegin authenticators\n" + "".join(self.authenticators) if self.authenticators else ""
        return "".join(
            (
                pools.MAIN,
                _lines(self.main, ""),
                selectors,
                f"\n{pools.ACL}\nbegin routers\n",
                *self.routers,
                "aliases:\n  driver = redirect\n  domains = +local_domains\n",
                _lines(_options(aliases, self.aliasing)),
                "local:\n  driver = accept\n  domains = +local_domains\n  local_parts = boxuser\n",
                "  transport = local_delivery\n",
                "smarthost:\n  driver = manualroute\n  domains = ! +local_domains\n",
                f"  route_list = {self.route}\n",
                _lines(_options(("transport = smarthost_smtp",), self.smarthost)),
                "\nbegin transports\nsmarthost_smtp:\n  driver = smtp\n",
                _lines(_options(("connection_max_messages = 1",), self.smtp)),
                "local_delivery:\n  driver = appendfile\n",
                _lines(_options(local, self.local)),
                pools.TRANSPORTS,
                "\nbegin retry\n",
                _lines(self.retry, ""),
                rewrites,
                authenticators,
            )
        )

    @property
    def files(self) -> dict[str, str]:
        """The files beside the configuration."""
        texts = {"bounce.txt": pools.BOUNCE_TEXT, "warn.txt": pools.WARN_TEXT}
        return {"aliases": pools.ALIASES, "list": pools.LIST, **texts}

    @property
    def input(self) -> dict[str, Any]:
        """The servers and the steps."""
        servers = {place: [dict(script) for script in scripts] for place, scripts in self.servers}
        return {"servers": servers, "steps": list(self.steps)}


def _lines(lines: Sequence[str], indent: str = "  ") -> str:
    return "".join(f"{indent}{line}\n" for line in lines)


def _option(line: str) -> str:
    return line.partition(" ")[0].removeprefix("no_")


def _options(usual: Sequence[str], given: Sequence[str]) -> list[str]:
    names = {_option(line) for line in given}
    return [*(line for line in usual if _option(line) not in names), *given]


class SceneMaker:
    """Makes scenes, the same for the same *random*."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def scene(self) -> Scene:
        """Return a scene of one kind or another."""
        random = self._random
        kind = random.choices(
            (self._command, self._dialogue, self._batch, self._daemon, self._login), (60, 12, 5, 8, 15)
        )[0]
        scene = Scene(
            main=self._some(pools.MAINS, (3, 3, 1)),
            selectors=self._some(pools.SELECTORS, (8, 1, 1)),
            rewrites=self._some(pools.REWRITES, (9, 1, 1)),
            routers=self._some(pools.EXTRA_ROUTERS, (7, 2)),
            aliasing=self._some(pools.ALIASING, (7, 3)),
            smarthost=self._some(pools.SMARTHOST, (6, 3)),
            smtp=self._some(pools.SMTP, (4, 4, 1)),
            local=self._some(pools.LOCAL, (7, 2)),
            retry=random.choice(pools.RETRIES),
            route=random.choice(pools.ROUTES),
            servers=self._servers(),
        )
        return kind(scene)

    def _some(self, pool: Sequence[str], weights: Sequence[int]) -> tuple[str, ...]:
        """Return none, one, two… of *pool* as often as *weights* say; one option once."""
        number = self._random.choices(range(len(weights)), weights)[0]
        return tuple({_option(one): one for one in self._random.sample(pool, number)}.values())

    # -- servers

    def _servers(self) -> tuple[tuple[str, tuple[tuple[tuple[str, Any], ...], ...]], ...]:
        places = ["127.0.0.10", "127.0.0.11", "127.0.0.12", "127.0.0.10:587", "127.0.0.40", "127.0.0.12:2424"]
        return tuple((place, self._scripts()) for place in places)

    def _scripts(self) -> tuple[tuple[tuple[str, Any], ...], ...]:
        shape = self._random.randrange(4)
        if shape == 0:
            return ((),)
        if shape == 1:
            return (self._script(), ())
        return (self._script(),)

    def _script(self) -> tuple[tuple[str, Any], ...]:
        random = self._random
        script: dict[str, Any] = {}
        for key in random.sample(tuple(pools.CODES), random.choice((0, 1, 1, 1, 2))):
            if key == "hang_after" and random.random() < 0.8:
                continue
            script[key] = random.choice(pools.CODES[key])
        if random.random() < 0.5:
            script["ehlo"] = [one for one in random.choice(pools.EHLO) if one.lower() != "starttls"]
        if any("auth" in word.lower() for word in script.get("ehlo", ())):
            script["auth"] = random.choice(pools.AUTH)
        if "starttls" in map(str.lower, script.get("ehlo", ())):
            script |= random.choice(pools.TLS)
        return tuple(script.items())

    # -- steps

    def _message(self, *, foreign: bool = False) -> str:
        """Return a message; a *foreign* one has all that Exim adds only to what its own users send."""
        random = self._random
        fields = list(pools.HEAD)
        for _ in range(random.choice((0, 0, 0, 1, 1, 2))):
            fields.insert(random.randrange(len(fields) + 1), random.choice(pools.HEADERS))
        for _ in range(random.choice((0, 0, 0, 0, 0, 0, 1, 2, 5))):
            if fields and not foreign:
                fields.pop(random.randrange(len(fields)))
        return "".join(f"{one}\n" for one in fields) + "\n" + random.choice(pools.BODIES)

    def _submission(self) -> dict[str, Any]:
        random = self._random
        words = [*random.choice(pools.MODES), *random.choice(pools.MORE_WORDS)]
        if random.random() < 0.9:
            words += [random.choice(("-f", "-f", "-f", "-r")), random.choice(pools.SENDERS)]
        if random.random() < 0.15:
            words.append("-t")
        if "-t" not in words or random.random() < 0.2:
            words += dict.fromkeys(random.choices(pools.RECIPIENTS, k=random.choice((1, 1, 1, 2, 3, 4))))
        other = random.random() < 0.1
        step: dict[str, Any] = {
            "args": words,
            "stdin": self._message(foreign=other or {"-oMa", "<>", "-G"} & {*words}),
            "show": True,
        }
        return {"run_as": "nobody", **step} if other else step

    def _command(self, scene: Scene) -> Scene:
        random = self._random
        steps = [self._submission() for _ in range(random.choice((1, 1, 1, 1, 1, 2)))]
        timed = any("= 1s" in one for one in scene.main) or any(",1s," in one for one in scene.retry)
        for words in random.choice(pools.TAILS):
            if timed and random.random() < 0.7:
                steps.append({"sleep": 2})
            steps.append({"args": list(words), "show": True})
        return replace(scene, steps=(*steps, {"args": ["-bp"], "show": True}))

    def _login(self, scene: Scene) -> Scene:
        """One message to a server that wants to be logged in to, or offers TLS: the kind smtp-client."""
        random = self._random
        script = dict(self._script())
        offers = [one for one in pools.EHLO if "AUTH" in str(one).upper() or "TLS" in str(one).upper()]
        script["ehlo"] = [*random.choice(offers)]
        script["auth"] = random.choice(pools.AUTH)
        if any("starttls" in one.lower() for one in script["ehlo"]):
            script |= {"ehlo_tls": random.choice(pools.EHLO), **random.choice(pools.TLS)}
        logging_in = random.choice(("hosts_try_auth = *", "hosts_try_auth = *", "hosts_require_auth = *"))
        options = {_option(one): one for one in (*scene.smtp, logging_in)}
        tail = random.choice(((), (), ("-qff",)))
        steps: list[dict[str, Any]] = [
            {"args": [*pools.USUAL, "rcpt@any.example"], "stdin": pools.MESSAGE, "show": True}
        ]
        steps += [{"args": list(tail), "show": True}] if tail else []
        return replace(
            scene,
            main=(), rewrites=(), routers=(), aliasing=(), local=(), smarthost=(),
            smtp=tuple({**pools.UNVERIFIED, **options}.values()),
            authenticators=self._some(pools.AUTHENTICATORS, (0, 3, 3, 1)),
            servers=(("127.0.0.10", (tuple(script.items()),)), ("127.0.0.11", self._scripts())),
            steps=(*steps, {"args": ["-bp"], "show": True}),
        )  # fmt: skip

    def _lines_of_a_session(self) -> list[str]:
        """Return commands; the content of a message is one line with line breaks."""
        random = self._random
        lines = [random.choice(("EHLO there.example", "EHLO there.example", "HELO there.example", "EHLO [127.0.0.1]"))]
        for _ in range(random.choice((1, 1, 2))):
            lines.append(random.choice(pools.MAILS))
            lines += dict.fromkeys(random.choices(pools.RCPTS, k=random.choice((1, 1, 2, 3))))
            lines += ["DATA", self._message(foreign=True).rstrip("\n").replace("\n.", "\n..") + "\n."]
        for _ in range(random.choice((0, 0, 0, 1, 2, 3))):
            place = random.randrange(len(lines) + 1)
            if place == 0 or lines[place - 1] != "DATA":
                lines.insert(place, random.choice(pools.COMMANDS))
        return [*lines, "QUIT"]

    def _dialogue(self, scene: Scene) -> Scene:
        random = self._random
        text = "".join(f"{line}\n" for line in self._lines_of_a_session())
        text = text.replace("\n", "\r\n") if random.random() < 0.8 else text
        words = [*random.choice(pools.MODES), "-bs"]
        step = {"args": words, "stdin": text, "show": True}
        return replace(scene, steps=(step, {"args": ["-bp"], "show": True}))

    def _batch(self, scene: Scene) -> Scene:
        text = "".join(f"{line}\n" for line in self._lines_of_a_session()[1:])
        step = {"args": ["-odi", "-bS"], "stdin": text, "show": True}
        return replace(scene, steps=(step, {"args": ["-bp"], "show": True}))

    def _daemon(self, scene: Scene) -> Scene:
        steps = ({"daemon": 2525}, {"smtp": 2525, "lines": self._lines_of_a_session()}, {"wait": True})
        return replace(scene, main=tuple(one for one in scene.main if "queue_only" not in one), steps=steps)
