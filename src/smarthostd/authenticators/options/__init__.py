"""The authenticators' options: those that all share, and each driver's own (exim.md 8).

No driver is imported with them, nor are they with a driver that is at work: its instances are plain values.
"""

from typing import Annotated, Literal, TypeAlias

from smarthostd.options import Bool, ByDriver, Expanded, ExpandedList, Options, String, option


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


class ClientOptions(AuthenticatorOptions):
    """What plaintext and external have in common as clients."""

    client_ignore_invalid_base64: Bool = option(False, "Take a challenge that is no base64 as an empty one.")


class CramMd5Options(AuthenticatorOptions):
    """Options of ``driver = cram_md5``."""

    driver: Literal["cram_md5"]
    client_name: Expanded = option("$primary_hostname", "The user's name.")
    client_secret: Expanded = option("", "The user's password.", repr=False)
    server_secret: Expanded = option(
        "", "The password of the user in $auth1; a forced failure means no such user.", repr=False
    )


class ExternalOptions(ClientOptions):
    """Options of ``driver = external``."""

    driver: Literal["external"]
    client_send: Expanded = option("", "The identity to act as; mostly empty or the user's name.", repr=False)
    server_param2: ExpandedList = option("", "As a server, a further parameter for server_condition.")
    server_param3: ExpandedList = option("", "As a server, a further parameter for server_condition.")


class PlaintextOptions(ClientOptions):
    """Options of ``driver = plaintext``."""

    driver: Literal["plaintext"]
    client_send: ExpandedList = option("", "What the client sends: an item for each response, ^ for NUL.", repr=False)
    server_prompts: ExpandedList = option("", "What the server asks: an item for each challenge.")


AnyAuthenticator: TypeAlias = Annotated[CramMd5Options | ExternalOptions | PlaintextOptions, ByDriver()]
