"""Gateways: one file a kind; each translates foreign answers and errors once and holds no policy."""
