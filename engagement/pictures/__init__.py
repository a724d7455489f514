"""Pictures of prizes and shows: decoded and made anew in a process of its own, kept and served by their digest."""
