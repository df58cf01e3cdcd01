"""What is done to a running release: requests and faults, in the same order on every target."""
