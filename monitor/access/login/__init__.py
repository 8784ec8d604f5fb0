"""Ways in: passwords, second factors, the proxy's header, and the throttle of failed attempts."""
