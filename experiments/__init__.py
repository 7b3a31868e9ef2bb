"""Single-file scripts, one an algorithm: read, copy, edit."""
