"""The transports' options: Exim's names and defaults (exim.md 7.1). No driver is imported with them.

A configuration is read by who sends nothing, too: a command that checks or explains it must not pay for the drivers.

What Exim has and we have not is not declared here: ``config/foreign.py`` says so to who uses it. Declared without
effect is only what asks for something that may be had without asking, or not at all.
"""

from typing import TYPE_CHECKING, Annotated, TypeAlias

from smarthostd.options import Bool, ByDriver, Expanded, Options, Repeated, String, option

if TYPE_CHECKING:
    from smarthostd.transports.options.appendfile import AppendfileOptions
    from smarthostd.transports.options.lmtp import LmtpOptions
    from smarthostd.transports.options.smtp import SmtpOptions


class TransportOptions(Options):
    """Generic options of an instance in the transports section."""

    name: str
    headers_add: Repeated = option((), "Header lines to add to the message, one a line.")
    headers_remove: Repeated = option((), "Names of headers to take out of the message, a colon list.")
    headers_rewrite: String = option(
        "", "Rewriting rules for the header lines of what is sent, a colon list; without flags for all of them."
    )
    return_path: Expanded = option("", "The envelope sender to use instead of the message's (not for bounces).")
    return_path_add: Bool = option(False, "Add a Return-path: header (final deliveries).")
    envelope_to_add: Bool = option(False, "Add an Envelope-to: header with the original recipients.")
    delivery_date_add: Bool = option(False, "Add a Delivery-date: header.")
    body_only: Bool = option(False, "Deliver the body without the header.")
    headers_only: Bool = option(False, "Deliver the header without the body.")
    message_size_limit: Expanded = option("", "The largest message (50M); a larger one fails. Empty or 0: no limit.")
    disable_logging: Bool = option(False, "Without effect: nothing here is silent.")
    debug_print: Expanded = option("", "Accepted and ignored: Exim's debugging output.")
    user: Expanded = option("", "The user to deliver as (only where the daemon runs as root).")
    group: Expanded = option("", "The group to deliver as (only where the daemon runs as root).")
    home_directory: Expanded = option("", "Without effect: see transport_home_directory of the router.")
    current_directory: Expanded = option("", "Without effect: no program is started.")
    retry_use_local_part: Bool = option(
        False, "Whether retry times are kept for addresses, not domains; for local deliveries yes unless set."
    )
    max_parallel: Expanded = option("", "Without effect: hosts_max_parallel decides.")


if TYPE_CHECKING:
    AnyTransport: TypeAlias = AppendfileOptions | LmtpOptions | SmtpOptions
else:
    AnyTransport = Annotated[
        TransportOptions,
        ByDriver(
            __name__,
            {
                "appendfile": "AppendfileOptions",
                "lmtp": "LmtpOptions",
                "smtp": "SmtpOptions",
            },
        ),
    ]
