"""Incoming SMTP: ``server.py`` turns sockets into sessions, ``session.py`` says what we answer."""
