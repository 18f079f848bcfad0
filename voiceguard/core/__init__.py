"""The pure core: audio in, events out.

Everything that decides what happens in a session lives here, in plain Python
and NumPy: no sockets, no clocks, no files, no threads, no logging. The server,
the file analyser, the benchmarks and the tests all drive the same code, so a
stored call replayed through any of them gives the same events.
"""
