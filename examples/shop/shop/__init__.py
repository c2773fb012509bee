"""A small shop: the service Headway is shown on. Slow for honest reasons; every remedy is a setting."""
