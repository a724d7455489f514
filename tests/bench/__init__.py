"""Measurements at the size of a gala: run by hand, never timed in the tests (docs/performance.md)."""
