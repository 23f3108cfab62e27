"""``python -m smarthostd.sendmail``, and ``python -I -S …/smarthostd/sendmail``, which starts in half the time."""

import sys

if not __package__:  # run by its path: the package is two folders up, and is looked for last
    sys.path[:1] = []
    sys.path.append(__file__.rsplit("/", 3)[0])

from smarthostd.sendmail.program import main

main()
