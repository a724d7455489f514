"""The site that Channels' tutorial builds, part 3: an asynchronous chat server. It runs with its parent on the path."""
