"""`make demo`: the whole product on one machine, with a small town of synthetic people who answer.

Nothing is faked: one real server, the real console, a practice CyberTipline, and townspeople who live in a process of
their own (`town.py`), on the SDK, over the public API. Only the printed accounts are made by flows, because their
first device is to be the visitor's own browser.

This package imports nothing: the town's process would load the whole server with it.
"""
