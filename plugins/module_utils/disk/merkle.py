# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The digest of a disk: the SHA-256 Merkle root of BitTorrent v2 over the bytes that a guest sees.

Format: BEP 52, "pieces root". The leaves are the SHA-256 hashes of blocks of 16 KiB; the last block is hashed as
long as it is. The leaves are filled up with hashes of zero bytes to a power of two, and each inner node is the hash
of its two children. As text a digest is C(sha256-merkle-16k:) and the root in hexadecimal; the root itself is the
C(pieces root) by which a BitTorrent v2 swarm knows the same content.

Holes are not read: the hash of a subtree of zero bytes is known for every height. Data is hashed in chunks, on all
processors at once (hashlib lets go of the interpreter's lock), and the tree keeps one node a height: a disk of
20 TiB takes no more memory than one of 20 MiB.

The piece layer (BEP 52, "piece layers", of a piece length of 1 MiB) is kept beside a digest: the hashes of the subtrees
of 1 MiB each, 32 bytes a piece. It leads to the root, so that who knows the digest can tell whether a layer is sound;
and with a sound layer it can be told which pieces of a damaged disk are wrong.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from .. import progress
from .extents import Extent, by_chunk, raw_extents
from .open_files import OpenFiles

BLOCK = 16 * 1024
CHUNK_HEIGHT = 8
CHUNK = BLOCK << CHUNK_HEIGHT  # 4 MiB: what one thread reads and hashes at a time
PIECE_HEIGHT = 6
PIECE = BLOCK << PIECE_HEIGHT  # 1 MiB: what one hash of the piece layer stands for
HASH_SIZE = 32
PREFIX = "sha256-merkle-16k:"

_MAX_THREADS = 16  # a chunk is 256 calls of hashlib; more threads only wait for the interpreter's lock
_READ_AHEAD = 16  # chunks that the disk is read ahead of those that are hashed
_MAX_HEIGHT = 50
_ZERO_BLOCK = hashlib.sha256(bytes(BLOCK)).digest()

Sink = Callable[[int, memoryview], object]


def _grown(leaf: bytes) -> list[bytes]:
    """Return the root of the full subtree of equal leaves, for every height."""
    roots = [leaf]
    for _height in range(_MAX_HEIGHT):
        roots.append(hashlib.sha256(roots[-1] * 2).digest())
    return roots


_ZEROS = _grown(_ZERO_BLOCK)  # subtrees of blocks of zero bytes
_PADDING = _grown(bytes(HASH_SIZE))  # subtrees beyond the end of the disk


@dataclass(frozen=True)
class Tree:
    """What is kept of the Merkle tree of a disk: its I(digest), and its piece layer I(pieces).

    The layer has 32 bytes a piece of 1 MiB, in order; pieces beyond the end, which only balance the tree, are left out.
    Of content of at most one piece, for which BEP 52 has no layer, the one hash is the root.
    """

    digest: str
    pieces: bytes


def tree_of_file(path: str) -> Tree:
    """Return the digest and the piece layer of a raw file. Its holes are not read."""
    return tree_of_extents(raw_extents(path), os.stat(path).st_size)


def tree_of_extents(
    extents: Iterable[Extent], size: int, sink: Sink | None = None, files: OpenFiles | None = None
) -> Tree:
    """Return the digest and the piece layer of I(size) bytes; see L(digest_extents). I(files) says how to read them."""
    pieces = bytearray()
    digest = _digest(_Tree(size, pieces), extents, size, sink, files)
    return Tree(digest, bytes(pieces))


def digest_file(path: str) -> str:
    """Return the digest of a raw file. Its holes are not read."""
    return digest_extents(raw_extents(path), os.stat(path).st_size)


def digest_extents(extents: Iterable[Extent], size: int, sink: Sink | None = None) -> str:
    """Return the digest of I(size) bytes, of which I(extents) (in order) hold what is not zero.

    I(sink) is given every run of blocks that are not all zero, as C((offset, bytes)), from several threads and in no
    order; the bytes are its own only until it returns. What the sink raises is raised here.
    """
    return _digest(_Tree(size), extents, size, sink)


def count_pieces(size: int) -> int:
    """Return how many pieces I(size) bytes have; the last one may be shorter."""
    return -(-size // PIECE)


def digest_of_pieces(pieces: bytes) -> str:
    """Return the digest of the content whose piece layer this is."""
    if len(pieces) <= HASH_SIZE:
        return PREFIX + (pieces or hashlib.sha256(b"").digest()).hex()
    nodes, height = hashes_of(pieces), PIECE_HEIGHT
    while len(nodes) > 1:
        nodes = parents(nodes, height)
        height += 1
    return PREFIX + nodes[0].hex()


def hashes_of(pieces: bytes) -> list[bytes]:
    """Return the hashes of a piece layer one by one."""
    return [pieces[at : at + HASH_SIZE] for at in range(0, len(pieces), HASH_SIZE)]


def parents(nodes: list[bytes], height: int) -> list[bytes]:
    """Return the layer above I(nodes), all that are left of the layer at I(height) without those beyond the end."""
    if len(nodes) % 2:
        nodes = [*nodes, _PADDING[height]]
    return [hashlib.sha256(nodes[at] + nodes[at + 1]).digest() for at in range(0, len(nodes), 2)]


def _digest(
    tree: _Tree, extents: Iterable[Extent], size: int, sink: Sink | None, files: OpenFiles | None = None
) -> str:
    threads = min(len(os.sched_getaffinity(0)) + 1, _MAX_THREADS)
    with files or OpenFiles() as opened, ThreadPoolExecutor(threads) as executor:
        reader = _Reader(size, opened, sink)
        pending: deque[tuple[int, Future[list[bytes]]]] = deque()
        for number, parts in by_chunk(extents, CHUNK):
            for part in parts:
                opened.announce(part)
            pending.append((number, executor.submit(reader.leaves, number, parts)))
            if len(pending) > max(2 * threads, _READ_AHEAD):
                tree.add_chunk(*_result(pending))
        while pending:
            tree.add_chunk(*_result(pending))
    return PREFIX + tree.root().hex()


def _result(pending: deque[tuple[int, Future[list[bytes]]]]) -> tuple[int, list[bytes]]:
    number, future = pending.popleft()
    return number, future.result()


class StreamDigest:
    """The digest of a disk of I(size) bytes whose content comes by and is not read for it: while it is written.

    L(leaves) hashes what lies at I(start), a multiple of L(CHUNK), and at most one chunk; several threads may do so at
    the same time. L(add) takes the chunks in order. What lies between and behind them is zero.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._pieces = bytearray()
        self._tree = _Tree(size, self._pieces)

    def leaves(self, start: int, content: memoryview) -> list[bytes]:
        whole = len(content) // BLOCK * BLOCK
        hashes = [hashlib.sha256(content[at : at + BLOCK]).digest() for at in range(0, whole, BLOCK)]
        if whole < len(content):
            length = min(BLOCK, self._size - start - whole)
            hashes.append(hashlib.sha256(bytes(content[whole:]).ljust(length, b"\0")).digest())
        return hashes

    def add(self, start: int, leaves: list[bytes]) -> None:
        self._tree.add_chunk(start // CHUNK, leaves)

    def tree(self) -> Tree:
        """Return the digest and the piece layer, once all chunks were added."""
        digest = PREFIX + self._tree.root().hex()
        return Tree(digest, bytes(self._pieces))


class _Tree:
    """A Merkle tree that is built from left to right; complete subtrees are kept, one a height at most.

    I(pieces) is given the hash of each piece when it is known.
    """

    def __init__(self, size: int, pieces: bytearray | None = None) -> None:
        self._size = size
        self._pieces = pieces
        self._blocks = -(-size // BLOCK)  # leaves that stand for content
        self._count = 0  # leaves so far
        self._stack: list[tuple[int, bytes]] = []  # (height, root), from left to right, heights falling

    def add_chunk(self, number: int, nodes: list[bytes]) -> None:
        """Add the leaves of a chunk; what lies between it and the one before is zero."""
        start = number << CHUNK_HEIGHT
        for first, stop in _runs_of_data(nodes):
            self._add_zeros(start + first)
            for leaf in nodes[first:stop]:
                self._push(0, leaf)

    def root(self) -> bytes:
        """Return the root, once all chunks are there. BEP 52 has none for nothing: it is the hash of no bytes here."""
        if not self._size:
            return hashlib.sha256(b"").digest()
        self._add_zeros(self._blocks)
        height = max(self._blocks - 1, 0).bit_length()
        while self._stack[0][0] != height:
            low = self._stack[-1][0]
            self._push(low, _PADDING[low])
        if self._pieces is not None and not self._pieces:
            self._pieces += self._stack[0][1]
        return self._stack[0][1]

    def _add_zeros(self, until: int) -> None:
        """Add leaves of zero bytes up to the leaf I(until), in subtrees as large as fit."""
        last, tail = self._blocks - 1, self._size % BLOCK
        while self._count < until:
            if self._count == last and tail:
                self._push(0, hashlib.sha256(bytes(tail)).digest())
                continue
            stop = min(until, last) if tail else until
            fitting = (stop - self._count).bit_length() - 1
            aligned = (self._count & -self._count).bit_length() - 1 if self._count else fitting
            height = min(fitting, aligned)
            if height >= PIECE_HEIGHT and self._pieces is not None:
                self._pieces += _ZEROS[PIECE_HEIGHT] * (1 << (height - PIECE_HEIGHT))
            self._push(height, _ZEROS[height])

    def _push(self, height: int, node: bytes) -> None:
        self._count += 1 << height
        while self._stack and self._stack[-1][0] == height:
            node = hashlib.sha256(self._stack.pop()[1] + node).digest()
            height += 1
            if height == PIECE_HEIGHT and self._pieces is not None:
                self._pieces += node
        self._stack.append((height, node))


class _Reader:
    """Reads chunks, each thread into a buffer of its own, hashes their blocks and gives the data to the sink."""

    def __init__(self, size: int, files: OpenFiles, sink: Sink | None) -> None:
        self._size = size
        self._files = files
        self._sink = sink
        self._own = threading.local()

    def leaves(self, number: int, parts: list[Extent]) -> list[bytes]:
        """Return the hashes of the blocks of a chunk; those that no part touches are zero, and cost nothing."""
        start, length = number * CHUNK, min(CHUNK, self._size - number * CHUNK)
        content = self._buffer()[:length]
        hashes = [_ZERO_BLOCK] * -(-length // BLOCK)
        if length % BLOCK:
            hashes[-1] = hashlib.sha256(bytes(length % BLOCK)).digest()
        for first, stop, run in _runs_of_blocks(parts, start):
            blocks = content[first * BLOCK : stop * BLOCK]
            self._fill(blocks, start + first * BLOCK, run)
            hashes[first:stop] = [
                hashlib.sha256(blocks[at : at + BLOCK]).digest() for at in range(0, len(blocks), BLOCK)
            ]
            if self._sink is not None:
                for begin, end in _runs_of_data(hashes[first:stop]):
                    self._sink(start + (first + begin) * BLOCK, blocks[begin * BLOCK : end * BLOCK])
        progress.advance(sum(part.length for part in parts))
        return hashes

    def _buffer(self) -> memoryview:
        if not hasattr(self._own, "buffer"):
            self._own.buffer = memoryview(mmap.mmap(-1, CHUNK))  # aligned to pages, as O_DIRECT wants it
        return self._own.buffer

    def _fill(self, content: memoryview, start: int, parts: list[Extent]) -> None:
        """Read the parts into the content of the blocks at I(start); the rest becomes zero."""
        position = 0
        for part in parts:
            at = part.start - start
            content[position:at] = bytes(at - position)
            position = at + self._files.read(part, content[at : at + part.length])
        content[position:] = bytes(len(content) - position)


def _runs_of_blocks(parts: list[Extent], start: int) -> Iterator[tuple[int, int, list[Extent]]]:
    """Yield each run of blocks of the chunk at I(start) that the parts touch, its end, and the parts in it."""
    run: list[Extent] = []
    first = stop = 0
    for part in parts:
        begin = (part.start - start) // BLOCK
        if run and begin > stop:
            yield first, stop, run
            run = []
        if not run:
            first = begin
        run.append(part)
        stop = -(-(part.start + part.length - start) // BLOCK)
    if run:
        yield first, stop, run


def _runs_of_data(hashes: list[bytes]) -> Iterator[tuple[int, int]]:
    """Yield the first block and the block after the last of each run whose blocks are not all zero."""
    first = None
    for index, digest in enumerate(hashes):
        if digest != _ZERO_BLOCK and first is None:
            first = index
        elif digest == _ZERO_BLOCK and first is not None:
            yield first, index
            first = None
    if first is not None:
        yield first, len(hashes)
