"""The SMTP client: the dialogue without a socket, the connection with one, the pool that keeps connections."""
