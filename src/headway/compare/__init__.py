"""Two runs against each other, a run against the pinned one, and the way runs have gone since: with intervals."""
