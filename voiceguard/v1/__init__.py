"""The interface's messages and stubs, generated from `proto/voiceguard/v1` by `make protos`."""
