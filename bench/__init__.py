"""Measuring smarthostd from outside: see ``README.md`` here."""
