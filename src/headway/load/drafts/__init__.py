"""First drafts of a scenario, from what a service leaves lying about: its OpenAPI document, a HAR, its access log."""
