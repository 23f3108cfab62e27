"""Reports to senders: delivery status notifications (RFC 3464)."""
