"""The reviewers' page: a web client of ReviewService, and nothing else.

    run(ReviewPageSettings(listen="127.0.0.1:8080", server="127.0.0.1:50051"))

It keeps no session, no account and no sign-in of its own: a reviewer's token lies in
their browser's cookie, and the server decides about every request by that token.
"""

from voiceguard.review.app import create_app
from voiceguard.review.serving import run
from voiceguard.review.settings import ReviewPageSettings

__all__ = ["ReviewPageSettings", "create_app", "run"]
