"""SMTP AUTH mechanisms: one file a driver; ``base.py`` says what a dialogue is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, TypeAlias

from pydantic import Field

from smarthostd.authenticators.base import Authenticator
from smarthostd.authenticators.cram_md5 import CramMd5, CramMd5Options
from smarthostd.authenticators.external import External, ExternalOptions
from smarthostd.authenticators.options import AuthenticatorOptions
from smarthostd.authenticators.plaintext import Plaintext, PlaintextOptions
from smarthostd.expand import Expander

AnyAuthenticator: TypeAlias = Annotated[
    CramMd5Options | ExternalOptions | PlaintextOptions, Field(discriminator="driver")
]


def build(options: Iterable[AnyAuthenticator], expander: Expander) -> list[Authenticator]:
    """Return the authenticators, in the order of the configuration."""
    made: list[Authenticator] = []
    for one in options:
        match one:
            case CramMd5Options():
                made.append(CramMd5(one, expander))
            case ExternalOptions():
                made.append(External(one, expander))
            case PlaintextOptions():
                made.append(Plaintext(one, expander))
    return made


__all__ = ["AnyAuthenticator", "Authenticator", "AuthenticatorOptions", "build"]
