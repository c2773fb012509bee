"""Glue for frameworks and libraries. Each file needs the library it is named after, and nothing else here does."""
