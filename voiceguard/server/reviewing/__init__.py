"""`ReviewService`: what reviewers find, hear, judge and take away, and who they are."""
