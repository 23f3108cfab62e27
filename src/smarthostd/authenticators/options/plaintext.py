"""The options of the authenticator ``plaintext``."""

from typing import Literal

from smarthostd.authenticators.options import ClientOptions
from smarthostd.options import ExpandedList, option


class PlaintextOptions(ClientOptions):
    """Options of ``driver = plaintext``."""

    driver: Literal["plaintext"]
    client_send: ExpandedList = option("", "What the client sends: an item for each response, ^ for NUL.", repr=False)
    server_prompts: ExpandedList = option("", "What the server asks: an item for each challenge.")
