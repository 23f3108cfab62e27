"""Months of trouble in seconds: the real road and runner, SQLite and sockets, on a clock that jumps to what is due."""
