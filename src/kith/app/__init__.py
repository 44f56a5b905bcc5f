"""The only place that knows everybody: settings, keys, HTTP, the stream, jobs, the command line, the demo.

Promises: one composition root (`wiring.py`), so that what depends on what can be read in one file.
Must not decide: policy lives in the rooms; this room passes facts and functions in and carries answers out.
"""
