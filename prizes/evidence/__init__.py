"""The evidence pack of a show: one zip file for whoever has to believe nobody (docs/evidence.md)."""
