"""The commands, one noun a file. duey.cli.parser has their arguments."""
