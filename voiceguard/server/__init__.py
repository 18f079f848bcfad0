"""The gRPC server: streams of calls in, events out.

What a call is and does (`call`, `live`, `outbox`, `handoffs`, `registry`) knows nothing of
grpc; what carries it (`service`, `auth`, `lifecycle`) decides nothing about calls.
"""
