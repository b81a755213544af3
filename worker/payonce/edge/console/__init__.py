"""The console: the pages below /ops on which operators see and do what is theirs."""
