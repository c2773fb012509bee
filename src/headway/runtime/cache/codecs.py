"""
Values as bytes: msgspec (MessagePack) by default, JSON, or pickle by explicit choice.

Pickle runs code that the bytes name: whoever can write to the cache can run code in the service. An entry is decoded
only by the codec the cache was made with, never by what its header asks for.
"""

from __future__ import annotations

import pickle
from typing import Any, Protocol

import msgspec


class Codec(Protocol):
    """Turns values into bytes and back. `number` marks its entries, 0..15."""

    number: int

    def encode(self, value: Any) -> bytes:
        """Bytes of the value; raises TypeError or ValueError for what it cannot write."""
        ...

    def decode(self, payload: bytes, kind: Any) -> Any:
        """The value as `kind`; any exception means that it cannot be read, which is a miss."""
        ...


class MessagePack:
    """msgspec's MessagePack: structs, dataclasses, dates, UUIDs, decimals, sets, checked against `kind` when read."""

    number = 1

    def __init__(self) -> None:
        self._encode = msgspec.msgpack.Encoder().encode
        self._decoders: dict[Any, Any] = {}

    def encode(self, value: Any) -> bytes:
        """See Codec."""
        return self._encode(value)

    def decode(self, payload: bytes, kind: Any) -> Any:
        """See Codec."""
        decode = self._decoders.get(kind)
        if decode is None:
            decode = self._decoders[kind] = msgspec.msgpack.Decoder(kind).decode
        return decode(payload)


class Json:
    """msgspec's JSON: readable with redis-cli, a little larger and slower."""

    number = 2

    def encode(self, value: Any) -> bytes:
        """See Codec."""
        return msgspec.json.encode(value)

    def decode(self, payload: bytes, kind: Any) -> Any:
        """See Codec."""
        return msgspec.json.decode(payload, type=kind)


class Pickle:
    """Any Python object. Only for a cache that nobody else can write to: reading a pickle can run any code."""

    number = 3

    def encode(self, value: Any) -> bytes:
        """See Codec."""
        try:
            return pickle.dumps(value, protocol=5)
        except (pickle.PicklingError, AttributeError) as exc:
            raise TypeError(str(exc)) from exc

    def decode(self, payload: bytes, kind: Any) -> Any:
        """See Codec. `kind` is not checked: a pickle says itself what it is."""
        del kind
        return pickle.loads(payload)  # noqa: S301 - chosen explicitly, see the class
