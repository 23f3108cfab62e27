"""Where log lines go: files (opened again on SIGHUP, for logrotate), standard error for journald, or syslog.

Lines of one turn of the event loop, and of 5 ms where many come, are written together. A line that cannot be written
(full disk, syslog away) is counted and dropped: the log must never stop the mail; the count is written as soon as lines
go again.
"""

from smarthostd.logwriter.places import File, Stderr, places
from smarthostd.logwriter.syslog import SyslogOptions
from smarthostd.logwriter.writer import Destination, LogWriter

__all__ = ["Destination", "File", "LogWriter", "Stderr", "SyslogOptions", "places"]
