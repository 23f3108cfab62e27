"""The keepers of messages: ``base.py`` is the contract."""
