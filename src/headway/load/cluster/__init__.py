"""
The same load from several machines: a Dask cluster's workers run the generators, one process here counts and decides.

`client` is this side, `host` what runs inside a Dask worker, `generator` the process it starts, `clock` the comparison
of clocks, `parcel` what travels. Dask carries orders and counts; no request's timing passes through it.
"""
