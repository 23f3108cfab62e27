"""SMTP AUTH mechanisms: one file a driver; ``base.py`` says what a dialogue is."""
