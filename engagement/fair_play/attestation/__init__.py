"""Services that vouch for a device: one module each, all of one shape, asked outside the event loop."""
