"""The corridor: every fact that Kith records, and where it is kept.

Promises: an append is durable before anybody is told of it; projections are written by projectors
alone, so replaying the events rebuilds them; every staff read is an entry in a hash-chained log.
Must not know: any policy, any room's tables, HTTP, or the content of anything that people say.
"""
