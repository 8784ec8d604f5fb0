"""What the operator's command does, one noun a file; cli/main.py parses the command line."""
