"""The ledger of a show: append-only, hash-chained, signed, guarded; and the checks of it."""
