"""Servers: PostgreSQL, RabbitMQ, Redis, and stand-ins in memory; no policy here."""
