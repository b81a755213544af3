"""What tests and ./dev share: private servers, processes, waiting."""
