"""How fast smarthostd is, alone or beside Exim and Postfix: ``python -m bench``; see ``README.md``."""
