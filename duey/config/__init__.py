"""Settings: the table of every key, how a value is read, and the reader of config.ini and the environment."""

from duey.config.reader import ConfigError, QueueShare, Settings, load, secret_files, secrets_in, sqlite_path

__all__ = ["ConfigError", "QueueShare", "Settings", "load", "secret_files", "secrets_in", "sqlite_path"]
