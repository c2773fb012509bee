"""What a service imports: small, typed, no global state, and nothing of Headway's rooms behind it."""
