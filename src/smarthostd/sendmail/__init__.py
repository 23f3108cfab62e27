"""``sendmail``: what programs call to send mail. It hands the message to the daemon over its unix socket.

It needs no set-id bit: the daemon asks the kernel who is calling. While the daemon is down the message is kept in
the drop directory (``drop.py``). Exit statuses are those of sysexits.h: 0 only when the message is on disk. One
argument is one recipient, whatever stands in it, and nothing is given to a shell.

It must start in milliseconds, so nothing here imports what is not needed: no ``re`` (6 ms), no ``socket``
(8 ms, for its enums; ``_socket`` below it has the same calls), no annotations' import, nothing of the daemon's.
"""
