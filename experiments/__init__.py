"""Single-file scripts, one an algorithm, by kind of action: read, copy, edit."""
