"""``-brt``: the retry rule for a host, a domain or an address (exim.md 9.1)."""

from __future__ import annotations

from smarthostd.assembly import build_language
from smarthostd.cli.exim.arguments import LONGEST_ARGUMENT, CommandLine, limited
from smarthostd.cli.exim.process import Process
from smarthostd.config import Loaded
from smarthostd.retry import RetryError, RetryRuleError, RetryRules, parse_error, parse_rule

LONGEST_DOMAIN = 255
LONGEST_ERROR = 64


def show_rule(loaded: Loaded, line: CommandLine, process: Process) -> int:
    """Write the rule; ``--strict`` leaves out ours, which is used where none is configured."""
    if not line.arguments:
        process.out.write("-brt needs a domain or address argument\n")
        return 1
    subject, *rest = line.arguments
    limited(subject, LONGEST_ARGUMENT, "-brt")
    if "@" not in subject and "." not in subject:
        process.out.write(
            f"Warning: \"{subject}\" contains no '@' and no '.' characters. It is being \n"
            "treated as a one-component domain, not as a local part.\n\n"
        )
    domain = limited(rest.pop(0), LONGEST_DOMAIN, "-brt 2nd") if rest and "." in rest[0] else None
    try:
        error = parse_error(limited(rest[0], LONGEST_ERROR, "-brt 3rd")) if rest else RetryError()
    except RetryRuleError as mistake:
        process.out.write(f"{mistake}\n")
        return 1
    rule = _rules(loaded, strict=line.strict).find(subject, error, None, domain)
    process.out.write(f"Retry rule: {rule}\n" if rule else "No retry information found\n")
    return 0


def _rules(loaded: Loaded, *, strict: bool) -> RetryRules:
    language = build_language(loaded.settings, loaded.source)
    configured = "retry" in loaded.settings.model_fields_set or not strict
    rules = [parse_rule(rule) for rule in loaded.settings.retry] if configured else []
    return RetryRules(rules, language.expander.matcher, language.expander.expand)
