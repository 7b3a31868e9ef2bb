"""The `jaxq` command: thin."""
