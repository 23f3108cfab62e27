"""Real mail servers and clients, started by the tests on loopback."""
