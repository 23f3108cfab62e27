"""How a message gets there: one file a driver; ``base.py`` says what a transport must answer."""
