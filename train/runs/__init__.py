"""One run: its set-up, its folder, its steps, and what is found out about it at the end."""
