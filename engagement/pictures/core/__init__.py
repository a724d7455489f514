"""What a picture may be, its sizes, its names: pure, and the standard library only."""
