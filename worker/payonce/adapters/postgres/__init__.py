"""The truth: PostgreSQL behind the ports of `payonce.ports.store`."""
