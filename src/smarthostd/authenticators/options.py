"""The options that all authenticators share, and how a client's are expanded (exim.md 8)."""

from __future__ import annotations

from smarthostd.errors import ExpansionDefer, ExpansionError, ForcedFailure
from smarthostd.expand import Expander, Values
from smarthostd.options import Bool, Expanded, Options, String, option


class AuthenticatorOptions(Options):
    """Generic options of an instance in the authenticators section."""

    name: str
    public_name: String = option("", "The mechanism as SMTP names it; the instance's name if empty.")
    client_condition: Expanded = option("", "As a client, use this only if the string expands to something true.")
    client_set_id: Expanded = option("", "What the log shows behind A=name: after a login.")
    server_condition: Expanded = option(
        "", "As a server, accept the login if this expands to something true.", repr=False
    )
    server_set_id: Expanded = option("", "As a server, what becomes $authenticated_id.")
    server_advertise_condition: Expanded = option(
        "", "As a server, offer this only if the string expands to something true."
    )
    server_debug_print: Expanded = option("", "Accepted and ignored: Exim's debugging output.")
    server_mail_auth_condition: Expanded = option("", "As a server, whether AUTH= on MAIL is believed.")

    @property
    def mechanism(self) -> str:
        """The mechanism's name as it is said in AUTH."""
        return self.public_name or self.name


class ClientOptions(AuthenticatorOptions):
    """What plaintext and external have in common as clients."""

    client_ignore_invalid_base64: Bool = option(False, "Take a challenge that is no base64 as an empty one.")


class ClientFailure(ExpansionError):
    """A client's option that cannot be expanded, or does not reach; the text is Exim's, and may show a secret.

    *told* is a sentence without what stands in the option: a ``$`` in a password is the usual mistake.
    """

    def __init__(self, text: str, told: str) -> None:
        super().__init__(text)
        self.told = told


def client_text(expander: Expander, text: str, values: Values, authenticator: str) -> str:
    """Return a client's option expanded; raises ForcedFailure, or ClientFailure for what goes wrong."""
    try:
        return expander.expand(text, values)
    except ForcedFailure:
        raise
    except ExpansionError as error:
        why = str(error) if isinstance(error, ExpansionDefer) else 'a "${…}" in it is wrong, or a "$" without a "\\"'
        told = f"the client options of authenticator {authenticator} cannot be expanded: {why}"
        text = f'expansion of "{text}" failed in {authenticator} authenticator: {error}'
        raise ClientFailure(text, told) from error
