"""What is kept of sessions: records, audio, keys, and the database that finds them."""
