"""Pages of jobs: the list, one job with its log, links to share, files for tickets and spreadsheets."""
