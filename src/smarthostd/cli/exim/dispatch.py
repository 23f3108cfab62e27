"""From words to a task, and from a task to the module that does it."""

from __future__ import annotations

import asyncio
import dataclasses
import grp
import os
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from smarthostd.cli.common import caller
from smarthostd.cli.exim.arguments import LONGEST_ARGUMENT, BadCommandLine, CommandLine, Task, limited, parse
from smarthostd.cli.exim.environment import keep_environment
from smarthostd.cli.exim.process import Process, lines
from smarthostd.cli.exim.rights import are_callers
from smarthostd.cli.exim.sender import sender_of
from smarthostd.config import ConfigurationErrors, Loaded, Settings, load
from smarthostd.config.settings import DIFFERENCES, NEVER_WHOLESALE
from smarthostd.lists import split

_USAGE = """\
Exim is a Mail Transfer Agent. It is normally called by Mail User Agents,
not directly from a shell command line. Options and/or arguments control
what it does when called. For a list of options, see the Exim documentation.
"""
_HELP = """\
Exim's own command line: words are read, and answered, as Exim does it.

  -bt ADDRESS…   where mail for it goes         -bp, -bpc      the queue, and how many there are
  -bv ADDRESS…   whether it can be routed       -Mvl ID        a message's story (-Mvh, -Mvb, -Mvc: what it is)
  -be STRING…    expand strings                 -M ID…         deliver (-Mf, -Mt: freeze, thaw; -Mrm: remove)
  -bP NAME…      options as they are set        -q, -qf, -qff  run the queue
  -brt, -brw     retry and rewriting rules      -t, ADDRESS…   take a message on standard input
  -C FILE        the configuration              -bs            speak SMTP on standard input and output
  -bV            the version                    --strict       differ from Exim in nothing

docs/exim.md tells of all of them, and of the differences.
"""
_WARNED = (Task.ROUTE, Task.VERIFY, Task.NOTHING)
"""Tasks that might answer otherwise if what was left out were there; where mail is taken, see ``entrance.py``."""


def run(words: Sequence[str], process: Process) -> int:
    """Do what *words* ask for; return Exim's exit status."""
    try:
        return _run(parse(words), process)
    except BadCommandLine as complaint:
        process.complain(str(complaint))
        return 1


def _run(line: CommandLine, process: Process) -> int:
    if line.help:
        if line.strict:
            process.complain(_USAGE)
        else:
            process.out.write(_HELP)
        return int(line.strict)
    if line.version:
        from smarthostd.cli.exim.version import show_version

        show_version(process)
    if line.task is Task.ELSEWHERE:
        process.complain(_not_here(line))
        return 1
    if line.task is Task.NOTHING and not line.version:
        process.complain(_USAGE)
        return 1
    if are_callers(line, process.environ):
        process.give_up_rights()
    loaded = _loaded(line, process)
    if loaded is None:
        return 1
    keep_environment(loaded, process.environ)
    return _TASKS[line.task](loaded, line, process)


def _not_here(line: CommandLine) -> str:
    """Return what to say of what we do not do."""
    if line.option[:2] in ("bd", "bw"):
        return f"exim: -{line.option} is not in smarthostd exim: `smarthostd run` is the daemon"
    return f"exim: -{line.option} is not in smarthostd exim, for smarthostd has no access control lists and no filters"


# -- the configuration


def _loaded(line: CommandLine, process: Process) -> Loaded | None:
    """Return the configuration; None where something is wrong with it, which is said."""
    try:
        loaded = load(_file(line.config), process.environ, lenient=True, macros=line.macros, as_exim=line.strict)
    except ConfigurationErrors as mistakes:
        process.complain(_report(mistakes, logged=_is_logged(line)))
        return None
    if line.strict:
        for text in loaded.logged:
            process.complain(f"LOG: MAIN PANIC\n  {text}" if _is_logged(line) else text)
        given_up = DIFFERENCES - set(NEVER_WHOLESALE)
        return dataclasses.replace(loaded, settings=loaded.settings.model_copy(update={"exim_strict": given_up}))
    if line.task in _WARNED:
        process.complain("\n".join(loaded.warnings))
    return loaded


def _file(names: str) -> Path | None:
    """Return the first of *names* that exists; None where none is named."""
    if not names:
        return None
    files = [Path(name.strip()) for name in names.split(":")]
    for file in files:
        if file.exists():
            return file
    raise BadCommandLine(f"non-existent configuration file(s): {names}")


def _is_logged(line: CommandLine) -> bool:
    """Whether Exim shows that it has logged a mistake: where options are listed, but not for the whole file."""
    return line.task is Task.LIST and line.arguments[:1] != ("config",)


def _report(mistakes: ConfigurationErrors, *, logged: bool) -> str:
    """Return Exim's report, or ours where Exim would not complain; *logged* is how Exim shows it with ``-bP``."""
    first = mistakes.first_of_exim
    if first is None:
        return "\n".join(f"exim: {mistake}" for mistake in mistakes.errors)
    return f"LOG: {first.log}\n  {first.exim}" if logged else first.exim


# -- the tasks


def _expand(loaded: Loaded, line: CommandLine, process: Process) -> int:
    from smarthostd.cli.exim.expansion import expand

    return expand(loaded, line, process)


def _retry(loaded: Loaded, line: CommandLine, process: Process) -> int:
    from smarthostd.cli.exim.retry import show_rule

    return show_rule(loaded, line, process)


def _list(loaded: Loaded, line: CommandLine, process: Process) -> int:
    from smarthostd.cli.exim.listing import show_options

    return show_options(loaded, line, process)


def _addresses(loaded: Loaded, line: CommandLine, process: Process) -> int:
    from smarthostd.cli.exim.addresses import address_test

    sender = "" if line.as_sender else sender_of(line, loaded.settings, caller())
    addresses = line.arguments or lines(process, prompts=line.strict or process.stdin.isatty())
    verify = line.task is Task.VERIFY
    test = address_test(loaded, addresses, sender=sender, verify=verify, sender_verify=line.as_sender, out=process.out)
    return asyncio.run(test)


def _rewrite(loaded: Loaded, line: CommandLine, process: Process) -> int:
    from smarthostd.cli.exim.rewriting import rewrite_test

    addresses = [limited(address, LONGEST_ARGUMENT, "-brw") for address in line.arguments]
    return rewrite_test(loaded, addresses, out=process.out)


def _queue(loaded: Loaded, line: CommandLine, process: Process) -> int:
    if not _may(loaded.settings, line.option):
        raise BadCommandLine("exim: permission denied")
    return _of_part(line, "queue.run", loaded, line.words, process.out)


def _may(settings: Settings, option: str) -> bool:
    """Whether the caller may do this to the queue, where the program has rights that are not theirs (set-id).

    Elsewhere the spool's files say who may. What shows or changes a message is an administrator's whatever is set.
    """
    if option.startswith("bp"):
        needed = settings.queue_list_requires_admin
    elif option[:1] in "qRS" or option in ("M", "Mc"):
        needed = settings.prod_requires_admin
    else:
        needed = True
    if not needed:
        return True
    return os.getuid() in (0, os.geteuid()) or not _groups(settings.admin_groups).isdisjoint(os.getgroups())


def _groups(names: str) -> set[int]:
    """Return the numbers of the groups in a list, which exist: the configuration was read."""
    return {int(name) if name.isdigit() else grp.getgrnam(name).gr_gid for name in split(names) if name}


def _of_part(line: CommandLine, place: str, *arguments: Any, **named: Any) -> int:
    """Call a function of this package that does a whole task, if it is there; return its exit status."""
    module, _, function = place.partition(".")
    status = None
    if find_spec(f"{__package__}.{module}"):
        status = getattr(import_module(f"{__package__}.{module}"), function)(*arguments, **named)
    if status is None:
        raise BadCommandLine(f"exim: -{line.option} is not in smarthostd exim")
    return int(status)


def _mail(loaded: Loaded, line: CommandLine, process: Process) -> int:
    from smarthostd.cli.exim.mail import take_mail

    return take_mail(loaded, line, process)


def _smtp(loaded: Loaded, line: CommandLine, process: Process) -> int:
    if line.batch:
        from smarthostd.cli.exim.batch import take_batch

        return take_batch(loaded, line, process)
    from smarthostd.cli.exim.session import speak

    return speak(loaded, line, process)


def _aliases(loaded: Loaded, line: CommandLine, process: Process) -> int:
    """Aliases are read where they are: there is nothing to build."""
    return 0


def _nothing(loaded: Loaded, line: CommandLine, process: Process) -> int:
    """``-bV`` alone: the configuration was read, and is right."""
    process.out.write(f"Configuration file is {loaded.source}\n")
    return 0


_TASKS: Mapping[Task, Callable[[Loaded, CommandLine, Process], int]] = {
    Task.EXPAND: _expand,
    Task.RETRY: _retry,
    Task.REWRITE: _rewrite,
    Task.LIST: _list,
    Task.ROUTE: _addresses,
    Task.VERIFY: _addresses,
    Task.QUEUE: _queue,
    Task.MAIL: _mail,
    Task.SMTP: _smtp,
    Task.ALIASES: _aliases,
    Task.NOTHING: _nothing,
}
