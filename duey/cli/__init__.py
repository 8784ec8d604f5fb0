"""What the operator's command does, one noun a file; manage.py holds the words of the command line."""
