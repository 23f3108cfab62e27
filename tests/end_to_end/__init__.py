"""The daemon as a process of its own, between real clients and real smarthosts."""
