"""Kinds, blocks, carriers and what is promised about them: pure, and the standard library only."""
