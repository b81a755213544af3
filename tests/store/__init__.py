"""The store: one suite of behaviour for fake and PostgreSQL, and what is PostgreSQL's own."""
