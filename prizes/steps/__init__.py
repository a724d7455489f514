"""What happens to a segment's prizes, in this order: arm, freeze, seal, beacon, draw, publish, claims."""
