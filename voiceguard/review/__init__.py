"""The reviewers' page: a web client of ReviewService."""
