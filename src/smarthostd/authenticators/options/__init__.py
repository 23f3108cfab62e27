"""The authenticators' options: those that all share, and each driver's own (exim.md 8).

No driver is imported with them, nor are they with a driver that is at work: its instances are plain values.
"""

from typing import TYPE_CHECKING, Annotated, TypeAlias

from smarthostd.options import Bool, ByDriver, Expanded, Options, String, option

if TYPE_CHECKING:
    from smarthostd.authenticators.options.cram_md5 import CramMd5Options
    from smarthostd.authenticators.options.external import ExternalOptions
    from smarthostd.authenticators.options.plaintext import PlaintextOptions


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
    server_mail_auth_condition: Expanded = option("", "Without effect: AUTH= on MAIL is not believed.")


class ClientOptions(AuthenticatorOptions):
    """What plaintext and external have in common as clients."""

    client_ignore_invalid_base64: Bool = option(False, "Take a challenge that is no base64 as an empty one.")


if TYPE_CHECKING:
    AnyAuthenticator: TypeAlias = CramMd5Options | ExternalOptions | PlaintextOptions
else:
    AnyAuthenticator = Annotated[
        AuthenticatorOptions,
        ByDriver(
            __name__,
            {
                "cram_md5": "CramMd5Options",
                "external": "ExternalOptions",
                "plaintext": "PlaintextOptions",
            },
        ),
    ]
