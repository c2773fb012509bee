"""
What a run left behind: collected while the load runs, kept in one folder, read back as `Evidence`.

    collect.collect   drives the load and samples every source that was named
    bundle            the run's folder
    reading.read      the folder -> Evidence

One file a collector; `registry` has one line each.
"""
