from tests.peers.fixtures import authority, dovecot, exim_smarthost, postfix

__all__ = ["authority", "dovecot", "exim_smarthost", "postfix"]
