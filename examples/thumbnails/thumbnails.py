"""Thumbnails of all PNG images of a folder, as one job: one subtask for each file.

    python examples/thumbnails/thumbnails.py FOLDER OUTPUT [--width 64] [--queue default]

The cluster's nodes must see both folders, as those of `quorate up` do. Everything is in this file:
functions of the script itself travel with the job. An image is read without any library, so that
the example needs none; a real program would call Pillow in `thumbnail`.
"""

from __future__ import annotations

import argparse
import struct
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

import quorate
from quorate.v1 import job_pb2

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Channels by PNG colour type: grey, RGB, grey with alpha, RGBA.
_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}


@dataclass(frozen=True, slots=True)
class Image:
    """Eight bits a channel, row by row from the top."""

    width: int
    height: int
    colour: int
    """PNG's colour type."""
    data: bytes

    @property
    def channels(self) -> int:
        """Bytes of one pixel."""
        return _CHANNELS[self.colour]


def main(arguments: list[str] | None = None) -> int:
    """Submit the job, wait for it, say what became of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--width", type=int, default=64, help="of a thumbnail, in pixels")
    parser.add_argument("--queue", default="default")
    options = parser.parse_args(arguments)
    output = options.output.absolute()
    output.mkdir(parents=True, exist_ok=True)
    # A generator: a folder of a million files is not held in memory.
    files = (str(path.absolute()) for path in options.folder.iterdir() if path.suffix == ".png")
    with quorate.Client() as client:
        job = client.array(
            thumbnail,
            files,
            args=[str(output), options.width],
            name="thumbnails",
            queue=options.queue,
            retries=1,
            # A broken file stays broken.
            fatal_errors=[ValueError],
        )
        print(f"job {job.id}")
        job.wait(
            notify=lambda found: print(f"\r{found.counts.succeeded:,} done", end="", flush=True)
        )
        print()
        for outcome in job.outcomes():
            if outcome.error is None:
                name, before, after = outcome.value
                print(f"{name}: {before:,} -> {after:,} bytes")
        for group in job.errors():
            print(f"{group.count} times {group.type}: {group.example.message}", file=sys.stderr)
        return 0 if job.status() == "SUCCEEDED" else 1


def show(job: job_pb2.Job) -> None:
    """One line that says how far the job is."""
    print(f"\r{job.counts.succeeded:,} of {job.count:,} done", end="", flush=True)


def thumbnail(path: str, output: str, width: int) -> tuple[str, int, int]:
    """Write the thumbnail of one image: its name, bytes before, bytes after.

    Running twice does no harm: the second run writes the same file.
    """
    source = Path(path)
    data = source.read_bytes()
    small = write_png(shrunk(read_png(data), width))
    (Path(output) / source.name).write_bytes(small)
    return source.name, len(data), len(small)


def shrunk(image: Image, width: int) -> Image:
    """The image at this width or less, each pixel the average of those that it stands for."""
    width = min(width, image.width)
    height = max(1, image.height * width // image.width)
    channels, stride = image.channels, image.width * image.channels
    data = bytearray()
    for row in range(height):
        top, bottom = row * image.height // height, (row + 1) * image.height // height
        for column in range(width):
            left = column * image.width // width * channels
            right = (column + 1) * image.width // width * channels
            for channel in range(channels):
                values = [
                    value
                    for line in range(top, bottom)
                    for value in image.data[
                        line * stride + left + channel : line * stride + right : channels
                    ]
                ]
                data.append(sum(values) // len(values))
    return Image(width, height, image.colour, bytes(data))


def read_png(data: bytes) -> Image:
    """An image of eight bits a channel; raises ValueError for another kind, or no PNG at all."""
    if not data.startswith(_SIGNATURE):
        raise ValueError("not a PNG image")
    header, packed, at = b"", b"", len(_SIGNATURE)
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + size]
        if kind == b"IHDR":
            header = body
        elif kind == b"IDAT":
            packed += body
        at += size + 12
    if len(header) != 13:
        raise ValueError("a PNG image without a header")
    width, height, depth, colour, *_, interlaced = struct.unpack(">IIBBBBB", header)
    if depth != 8 or colour not in _CHANNELS or interlaced:
        raise ValueError("only images of 8 bits a channel that are not interlaced can be read")
    try:
        raw = zlib.decompress(packed)
    except zlib.error:
        raise ValueError("the image is damaged") from None
    stride, pixel = width * _CHANNELS[colour], _CHANNELS[colour]
    above, rows = bytes(stride), bytearray()
    for start in range(0, height * (stride + 1), stride + 1):
        line = bytearray(raw[start + 1 : start + 1 + stride])
        _unfilter(raw[start], line, above, pixel)
        rows += line
        above = bytes(line)
    return Image(width, height, colour, bytes(rows))


def _unfilter(kind: int, line: bytearray, above: bytes, pixel: int) -> None:
    """Undo the filter of one row (PNG specification, section 9)."""
    for at in range(len(line)):
        left = line[at - pixel] if at >= pixel else 0
        up = above[at]
        corner = above[at - pixel] if at >= pixel else 0
        guess = left + up - corner
        nearest = min((left, up, corner), key=lambda value: abs(guess - value))
        line[at] = (line[at] + (0, left, up, (left + up) // 2, nearest)[kind]) & 0xFF


def write_png(image: Image) -> bytes:
    """The image as a PNG file."""
    stride = image.width * image.channels
    rows = b"".join(
        b"\0" + image.data[start : start + stride] for start in range(0, len(image.data), stride)
    )
    header = struct.pack(">IIBBBBB", image.width, image.height, 8, image.colour, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(kind, body) for kind, body in chunks)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


if __name__ == "__main__":
    sys.exit(main())
