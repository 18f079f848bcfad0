"""The log that shows what was recorded, and when, and that nothing was changed since."""
