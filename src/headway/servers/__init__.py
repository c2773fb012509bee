"""Ground that the lab and the prove room share: find, start, recognise and stop PostgreSQL, Valkey and nginx."""
