"""The measurements: one file each, one part of RESULTS.md each."""
