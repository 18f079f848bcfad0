"""What telephone lines do to speech: codecs, loss, noise, rooms, levels.

Samples are float32 in [-1, 1] at 8 kHz throughout. Nothing here changes their number,
and nothing draws at random except from the generator that it is given.
"""
