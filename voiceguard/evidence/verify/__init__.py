"""Checks evidence offline, from a bundle and the log's public key alone.

    python -m voiceguard.evidence.verify BUNDLE --key PUB

This folder imports nothing of voiceguard, so that it can be read, copied and run by itself: from
the folder that the copy lies in, with `cryptography` installed, as `python -m verify`. The rest of
voiceguard takes its formats from here: what is written is what is checked.

A bundle is a zip of one session. Everything in it hangs on the public key:

    public key      signs the checkpoint: size and root of the log's Merkle tree
    root            holds each leaf of the session, by the leaf's inclusion proof
    leaves          are numbered from 0 without gaps; `closed` counts them and the events
    each leaf       commits to its payload: a file of the bundle, or lines of one
    `opened`        names the digests of policy and model; audio.json those of the audio
    last leaf       is `exported` and commits to manifest.json, which names every other file
    the zip         has one form only, so that there is no byte that could be changed unseen

In the order in which it is best read; each module uses only those before it:

    forms           JSON and base64 that have one form, commitments, hashes of the tree
    proofs          that a leaf lies in a tree, that a tree begins with an older one
    checkpoints     keys, and what they signed
    wording         numbers of leaves and lines in words
    contents        what may be in a bundle
    zipform         the zip's one form: how it is written, how it is read
    leaves          the signed tree, and the session's leaves in it
    payloads        what the leaves commit to
    promises        what the session itself says that there must be
    audio           the recording, MiB by MiB
    timestamps      an outside authority's word for when
    findings        what comes out, and how people are told
    bundle          all of this in its order: `verify_bundle`
    command         the command line
"""

from .bundle import MAX_PROBLEMS, verify_bundle
from .checkpoints import Checkpoint, VerifierKey
from .contents import CHUNK_BYTES, FILES, FORMAT, MAX_BUNDLE_BYTES, MAX_LEAVES, MAX_LINES
from .findings import Facts, Verdict, describe
from .forms import (
    DIGEST_BYTES,
    canonical_json,
    commitment_of,
    leaf_hash,
    node_hash,
    parse_canonical,
)
from .proofs import proves_consistency, proves_inclusion
from .zipform import ZipEntry, central_directory, local_header

__all__ = [
    "CHUNK_BYTES",
    "DIGEST_BYTES",
    "FILES",
    "FORMAT",
    "MAX_BUNDLE_BYTES",
    "MAX_LEAVES",
    "MAX_LINES",
    "MAX_PROBLEMS",
    "Checkpoint",
    "Facts",
    "Verdict",
    "VerifierKey",
    "ZipEntry",
    "canonical_json",
    "central_directory",
    "commitment_of",
    "describe",
    "leaf_hash",
    "local_header",
    "node_hash",
    "parse_canonical",
    "proves_consistency",
    "proves_inclusion",
    "verify_bundle",
]
