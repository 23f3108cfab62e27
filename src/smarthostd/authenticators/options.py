"""The options that all authenticators share (exim.md 8)."""

from __future__ import annotations

from smarthostd.options import Bool, Expanded, Options, String, option


class AuthenticatorOptions(Options):
    """Generic options of an instance in the authenticators section."""

    name: str
    public_name: String = option("", "The mechanism as SMTP names it; the instance's name if empty.")
    client_condition: Expanded = option("", "As a client, use this only if the string expands to something true.")
    client_set_id: Expanded = option("", "What the log shows behind A=name: after a login.")
    server_condition: Expanded = option("", "As a server, accept the login if this expands to something true.")
    server_set_id: Expanded = option("", "As a server, what becomes $authenticated_id.")
    server_advertise_condition: Expanded = option(
        "", "As a server, offer this only if the string expands to something true."
    )
    server_debug_print: Expanded = option("", "Accepted and ignored: Exim's debugging output.")
    server_mail_auth_condition: Expanded = option("", "As a server, whether AUTH= on MAIL is believed.")

    @property
    def mechanism(self) -> str:
        """The mechanism's name in upper case."""
        return (self.public_name or self.name).upper()


class ClientOptions(AuthenticatorOptions):
    """What plaintext and external have in common as clients."""

    client_ignore_invalid_base64: Bool = option(False, "Take a challenge that is no base64 as an empty one.")
