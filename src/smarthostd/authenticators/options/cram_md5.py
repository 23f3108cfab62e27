"""The options of the authenticator ``cram_md5``."""

from typing import Literal

from smarthostd.authenticators.options import AuthenticatorOptions
from smarthostd.options import Expanded, option


class CramMd5Options(AuthenticatorOptions):
    """Options of ``driver = cram_md5``."""

    driver: Literal["cram_md5"]
    client_name: Expanded = option("$primary_hostname", "The user's name.")
    client_secret: Expanded = option("", "The user's password.", repr=False)
    server_secret: Expanded = option(
        "", "The password of the user in $auth1; a forced failure means no such user.", repr=False
    )
