"""The steps of a transaction. Each works inside the transaction of its caller, and begins or ends none."""
