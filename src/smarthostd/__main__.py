"""``python -m smarthostd``."""

from smarthostd.cli import main

main(prog_name="smarthostd")
