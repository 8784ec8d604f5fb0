"""Programs that look into Duey itself, each run in a process of its own on a queue of its own; the answer is JSON.

They run in the place that BENCH_FOLDER names, where config.ini is empty; bench.running says by DUEY_ variables what
differs.
"""
