"""benchmarks: measuring what a bundle does on a target, and judging it by the target's budgets.

Knows targets, bundles, engines and processes. Does not know how a network is built, trained, compressed or exported: the
stages before it are called through one function each, and only where an artifact of theirs is missing.
"""
