"""How values are shown: text, numbers and times for people, charts, and sentences on jobs and on the service."""
