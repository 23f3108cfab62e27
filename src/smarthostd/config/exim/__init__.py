"""Exim's configuration syntax, read and written."""
