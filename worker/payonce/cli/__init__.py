"""Commands: start, print, exit status. What they do lies below."""
