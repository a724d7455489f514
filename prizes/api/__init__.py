"""HTTP API of the draw side: what is published of a draw, and claims."""
