"""Random input to the real Exim and to us, side by side; ``python -m tests.exim --help`` compares more, by hand."""
