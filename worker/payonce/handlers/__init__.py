"""One file a message: facts are fetched, a pure function decides, the decision is applied."""
