"""A payment gateway with real books and scripted shoppers, for demos, tests and first steps."""
