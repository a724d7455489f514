"""The live side of a show: phones, gateways, the tally."""
