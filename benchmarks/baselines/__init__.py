"""Programs of others that jaxq is measured against, each from its own package, pinned, in an environment of its own."""
