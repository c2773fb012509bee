"""The remedies. Each takes a finding, one of its remedies and the grounds, and gives the proof. One file each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway.model import RemedyKind
from headway.prove.remedies import batch, cache, compression, drop_index, http_cache, index, pool, replica

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headway.model import Finding, Proof, Remedy
    from headway.prove.grounds import Grounds

    Prover = Callable[[Finding, Remedy, Grounds], Proof]

PROVERS: Mapping[RemedyKind, Prover] = {
    RemedyKind.INDEX: index.prove,
    RemedyKind.DROP_INDEX: drop_index.prove,
    RemedyKind.BATCH: batch.prove,
    RemedyKind.CACHE: cache.prove,
    RemedyKind.HTTP_CACHE: http_cache.prove,
    RemedyKind.COMPRESSION: compression.prove,
    RemedyKind.POOL: pool.prove,
    RemedyKind.REPLICA: replica.prove,
}
