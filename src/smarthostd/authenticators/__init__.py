"""SMTP AUTH mechanisms: one file a driver; ``base.py`` says what a dialogue is.

A driver is imported when a configuration that is put to work has an instance of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smarthostd.authenticators.base import Authenticator
    from smarthostd.authenticators.options import AnyAuthenticator
    from smarthostd.expand import Expander


def build(options: Iterable[AnyAuthenticator], expander: Expander) -> list[Authenticator]:
    """Return the authenticators, in the order of the configuration."""
    return [_authenticator(one, expander) for one in options]


def _authenticator(options: AnyAuthenticator, expander: Expander) -> Authenticator:
    if options.driver == "cram_md5":
        from smarthostd.authenticators.cram_md5 import CramMd5

        return CramMd5(options, expander)
    if options.driver == "external":
        from smarthostd.authenticators.external import External

        return External(options, expander)
    from smarthostd.authenticators.plaintext import Plaintext

    return Plaintext(options, expander)
