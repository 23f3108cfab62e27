"""smarthostd: a local mail relay that forwards to a smarthost, in Exim's words.

Nothing is imported here: ``sendmail`` must start in milliseconds, and what a part needs it
imports itself. Begin with ``docs/flow.md``, then ``outcome.py``, ``envelope.py`` and ``delivery.py``.
"""

__version__ = "0.1.0"
