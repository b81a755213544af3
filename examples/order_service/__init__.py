"""A shop's order service, told of paid orders by payonce: by events, by calls, or by both."""
