"""What a service imports: no command line, no room of the line, no global state."""
