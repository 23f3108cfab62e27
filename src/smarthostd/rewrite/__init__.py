"""Address rewriting, Exim's ``begin rewrite``: rules, what they make of an address, and of a header line.

It happens where a message comes in (``intake.py``), where an alias makes a new address (``routers/routing.py``), and
for header lines once more where a transport sends it (``headers_rewrite``).
"""

from smarthostd.rewrite.fields import Bare, FieldRewriter
from smarthostd.rewrite.rule import NotThere, RewriteRuleError, Rule, Where, parse_rule, parse_rules, rule_line
from smarthostd.rewrite.rules import RewriteRules, Rewritten, Tell, limited

__all__ = [
    "Bare",
    "FieldRewriter",
    "NotThere",
    "RewriteRuleError",
    "RewriteRules",
    "Rewritten",
    "Rule",
    "Tell",
    "Where",
    "limited",
    "parse_rule",
    "parse_rules",
    "rule_line",
]
