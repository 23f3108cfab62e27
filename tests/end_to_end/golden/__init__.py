"""The golden deliveries: scenarios that the real Exim 4.96 went through, and a driver that takes us through them."""
