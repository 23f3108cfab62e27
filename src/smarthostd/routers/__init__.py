"""Who an address goes to: one file a driver; ``base.py`` says what a router may answer."""
