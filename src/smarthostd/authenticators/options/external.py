"""The options of the authenticator ``external``."""

from typing import Literal

from smarthostd.authenticators.options import ClientOptions
from smarthostd.options import Expanded, ExpandedList, option


class ExternalOptions(ClientOptions):
    """Options of ``driver = external``."""

    driver: Literal["external"]
    client_send: Expanded = option("", "The identity to act as; mostly empty or the user's name.", repr=False)
    server_param2: ExpandedList = option("", "As a server, a further parameter for server_condition.")
    server_param3: ExpandedList = option("", "As a server, a further parameter for server_condition.")
