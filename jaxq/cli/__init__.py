"""The `jaxq` command: thin, over the rooms below."""
