"""The options of the transport ``lmtp``."""

from datetime import timedelta
from typing import Literal

from smarthostd.options import Bool, Expanded, Integer, Time, option
from smarthostd.transports.options import TransportOptions

_MINUTES_5 = timedelta(minutes=5)


class LmtpOptions(TransportOptions):
    """Options of ``driver = lmtp``: a local server, by its unix socket."""

    driver: Literal["lmtp"]
    socket: Expanded = option("", "The unix socket of the LMTP server.")
    helo_data: Expanded = option("$primary_hostname", "Ours: what we call ourselves in LHLO.")
    timeout: Time = option(_MINUTES_5, "How long to wait for each reply.")
    ignore_quota: Bool = option(False, "Ask the server to ignore quotas.")
    batch_max: Integer = option(1, "Recipients in one transaction.", ge=1)
