"""Exim's command line."""
