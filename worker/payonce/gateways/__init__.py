"""Gateways: one file a kind; each translates foreign answers once and holds no policy."""
