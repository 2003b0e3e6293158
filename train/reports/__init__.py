"""What is told of finished runs: tables, tests, and a page."""
