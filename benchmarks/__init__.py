"""What is fast, beside what, in one run."""
