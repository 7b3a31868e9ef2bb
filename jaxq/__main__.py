"""`python -m jaxq`: the command `jaxq`."""

from jaxq.cli.main import main

if __name__ == "__main__":
    main()
