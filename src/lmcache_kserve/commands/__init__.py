"""What each command does, from the user's options to the exit code, and what the user sees meanwhile."""
