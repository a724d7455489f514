"""Pure: the Merkle tree and the signed notes of RFC 9162 and C2SP."""
