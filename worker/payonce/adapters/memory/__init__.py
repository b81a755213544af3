"""Stand-ins that live in this process alone: for tests and for the embedded demo."""
