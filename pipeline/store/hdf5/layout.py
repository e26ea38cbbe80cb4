"""What an HDF5 file holds, found without the HDF5 library, and refused unless it is laid out as this program's artifacts are.

The library trusts what it reads: of 3,000 artifacts with a few bytes of their metadata changed, and a checksum to fit, 4 crashed it (with
a chunk shorter than its checksum) and 28 kept it busy for ever (with a text of no number and no length), HDF5 1.14.6 and 2.0 alike. So it
is given nothing but the few structures that h5py writes for an artifact (3.14 to 3.16 write the same bytes), after every byte of them that
it heeds was looked at here. Nothing else has a place in an artifact: no soft and no external link, no virtual dataset and none in another
file, no compression, no reference, no unknown type.

In brackets: sections of the HDF5 File Format Specification, version 3.0, https://support.hdfgroup.org/documentation/hdf5/latest/_s_p_e_c.html
"""

import itertools
import math
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pipeline.store.hdf5.bytereader import Piece, Pieces

MOST_NESTED = 8  # groups in groups
MOST_AXES = 8
LARGEST_SHAPE = 1 << 40  # values
LONGEST_TEXT = 1 << 16  # bytes of a text; what a net was made from takes about 2,000
MOST_TEXT = 1 << 24  # bytes of all attributes
NAME = re.compile(r"\w[\w.:-]{0,199}", re.ASCII)

NOWHERE = 2**64 - 1
SUPERBLOCK = b"\x89HDF\r\n\x1a\n" + bytes.fromhex("00000000 00080800 04001000 00000000")
TYPES = {  # the message of a type, to the byte: (numpy's name, bytes of a value)
    **{
        bytes.fromhex(f"10{sign}0000 {size:02x}000000 0000{8 * size:02x}00 00000000"): (f"{name}{8 * size}", size)
        for name, sign in (("uint", "00"), ("int", "08"))
        for size in (1, 2, 4, 8)
    },
    bytes.fromhex("11201f00 04000000 00002000 17080017 7f000000 00000000"): ("float32", 4),
    bytes.fromhex("11203f00 08000000 00004000 340b0034 ff030000 00000000"): ("float64", 8),
    bytes.fromhex("18020000 01000000 10080000 01000000 00000800 46414c53 45000000 54525545 00000000 00010000"): ("bool", 1),  # FALSE, TRUE
}
TEXT_TYPE = bytes.fromhex("13010000")  # then the number of bytes
ATTRIBUTE_TYPE = bytes.fromhex("19010100 10000000 10000000 01000000 00000800")  # a text of any length, in UTF-8
FLETCHER32 = bytes.fromhex("01010000 00000000 03001000 00000000") + b"fletcher32"
FILL_VALUE = bytes.fromhex("02020201")  # none
FILL_VALUE_OF_CHUNKS = bytes.fromhex("02030201")
MESSAGES = {  # number: (what it tells, its flags) [IV.A.2]
    0x00: ("nothing", 0),
    0x01: ("shape", 0),
    0x03: ("type", 1),
    0x05: ("fill value", 1),
    0x08: ("storage", 0),
    0x0B: ("filter", 1),
    0x0C: ("attribute", 0),
    0x10: ("continuation", 0),
    0x11: ("members", 0),
}
FOREIGN = {0x02: "links of a newer kind, such as those to other files", 0x07: "storage in another file"}
# The messages of an object's header but its attributes.
GROUP = {"members"}
ONE_PIECE = {"shape", "type", "fill value", "storage"}
CHUNKED = ONE_PIECE | {"filter"}

Attributes = dict[str, str | list[str]]


class StoredArray(NamedTuple):
    """dtype: numpy's name, or "text" for bytes in UTF-8. itemsize: bytes of one value."""

    dtype: str
    itemsize: int
    shape: tuple[int, ...]
    attributes: Attributes

    @property
    def nbytes(self) -> int:
        return self.itemsize * math.prod(self.shape)


class StoredGroup(NamedTuple):
    members: dict[str, "StoredGroup | StoredArray"]
    attributes: Attributes

    def arrays(self, path: str = "") -> Iterator[tuple[str, StoredArray]]:
        """All datasets in it and in the groups in it, with their paths."""
        for name, member in self.members.items():
            yield from member.arrays(f"{path}/{name}") if isinstance(member, StoredGroup) else [(f"{path}/{name}", member)]


def survey(file, path: Path, start: int) -> StoredGroup:
    """The root group of the HDF5 file that begins at byte `start` of an open file. Raises Damaged where it is not an artifact's.

    All bytes that the datasets declare are there, each for one of them.
    """
    return _Survey(Pieces(file, path, start)).root()


class _Survey:
    """One walk through one file. Whatever it doesn't expect, it refuses."""

    def __init__(self, pieces: Pieces):
        self.pieces, self.refuse = pieces, pieces.refuse
        self.texts: dict[int, dict[int, bytes]] = {}
        self.text_size = 0
        self.datasets: dict[int, StoredArray] = {}

    def root(self) -> StoredGroup:
        """[II.A, III.C]"""
        block = self.pieces.read(0, 96, "the superblock")
        block.expect(SUPERBLOCK)
        base, free_space, end, driver, name, header, cached, *members = block.numbers("9Q")
        if (base, free_space, driver, name, cached) != (self.pieces.start, NOWHERE, NOWHERE, 0, 1):
            self.refuse("the superblock is of an unknown kind")
        if end != base + self.pieces.size:
            self.refuse(f"it has {base + self.pieces.size} bytes where {end} were written")
        root = self.group(header, members, "/", 0)
        self.pieces.check_overlaps()
        return root

    # Groups

    def group(self, header: int, repeated: list[int], path: str, depth: int) -> StoredGroup:
        """repeated: where the list of members is, as the entry that led here says too."""
        if depth > MOST_NESTED:
            self.refuse(f"{path} is nested too deeply")
        messages, attributes = self.header(header, path, GROUP)
        if list(messages["members"].numbers("QQ")) != repeated:
            self.refuse(f"{path} has two lists of members")
        messages["members"].end()
        members = {}
        # What is shown first in a viewer has links to other groups' datasets: those groups come before.
        for name, address, kind, lists in sorted(self.entries(*repeated, path), key=lambda entry: entry[0] == "plot"):
            inner = f"{path.rstrip('/')}/{name}"
            if kind == 0:
                members[name] = self.dataset(address, inner, linked=path == "/plot")
            elif kind == 1:
                members[name] = self.group(address, lists, inner, depth + 1)
            else:
                self.refuse(f"{inner} is a soft link")
        return StoredGroup(members, attributes)

    def entries(self, tree: int, names: int, path: str) -> Iterator[tuple[str, int, int, list[int]]]:
        """(name, address of the header, kind, what the entry repeats of the header) of each member, by name. [III.B, III.C]"""
        names, previous = self.names(names, path), ""
        tables, bounds = self.tree(tree, 0, 32, "Q", path)
        if bounds[0] != (0,):  # the empty name, before all others
            self.refuse(f"the list of {path} is out of order")
        for address, bound in zip(tables, bounds[1:], strict=True):
            table, place = self.pieces.read(address, 8 + 8 * 40, f"a list of {path}"), None
            table.expect(b"SNOD\1\0")
            for _ in range(*table.numbers("H")):
                place, header, kind, _, *lists = table.numbers("QQIIQQ")
                name = names[place : names.find(b"\0", place)].decode("latin-1")
                if not NAME.fullmatch(name) or name <= previous:
                    self.refuse(f"a name in {path} is empty, too long, out of order or of unusual characters")
                yield name, header, kind, lists
                previous = name
            if bound != (place,):
                self.refuse(f"the list of {path} is out of order")

    def names(self, address: int, path: str) -> bytes:
        """A group's names, each with a zero behind it. [III.D]"""
        heap = self.pieces.read(address, 32, f"the names of {path}")
        heap.expect(b"HEAP\0\0\0\0")
        size, free, segment = heap.numbers("QQQ")
        names = self.pieces.read(segment, size, f"the names of {path}")
        if free != 1:  # 1: no room is left; else there is one free block, at the end
            names.take(free)
            if names.numbers("QQ") != (1, size - free):
                self.refuse(f"the names of {path} have gaps")
        content = names.content[: size if free == 1 else free]
        if content[:1] != b"\0" or content[-1:] != b"\0":
            self.refuse(f"the names of {path} have no end")
        return content

    # Datasets

    def dataset(self, header: int, path: str, *, linked: bool) -> StoredArray:
        if linked and header in self.datasets:
            return self.datasets[header]
        messages, attributes = self.header(header, path, ONE_PIECE, CHUNKED)
        shape = self.shape(messages["shape"], may_grow=messages.keys() == CHUNKED)
        dtype, itemsize = self.dtype(messages["type"])
        if messages.keys() == CHUNKED:
            messages["filter"].expect(FLETCHER32)
            messages["fill value"].expect(FILL_VALUE_OF_CHUNKS)
            self.chunks(messages["storage"], shape, itemsize, path)
        else:
            messages["fill value"].expect(FILL_VALUE)
            self.one_piece(messages["storage"], math.prod(shape) * itemsize, path)
        for message in messages.values():
            message.end()
        self.datasets[header] = StoredArray(dtype, itemsize, shape, attributes)
        return self.datasets[header]

    def shape(self, message: Piece, *, may_grow: bool = False) -> tuple[int, ...]:
        """may_grow: along the first axis, without limit. [IV.A.2.b]"""
        version, axes, limited = message.numbers("BBB")
        message.expect(bytes(5))
        if version != 1 or axes > MOST_AXES or limited != (axes > 0):
            self.refuse(f"{message.what} is of an unknown kind")
        shape, largest = message.numbers(f"{axes}Q"), message.numbers(f"{axes}Q")
        message.end()
        if largest != shape and not (may_grow and largest == (NOWHERE, *shape[1:])):
            self.refuse(f"{message.what} can grow")
        if math.prod(n or 1 for n in shape) > LARGEST_SHAPE:  # an empty array too must be one that numpy can make
            self.refuse(f"{message.what} is too large")
        return shape

    def dtype(self, message: Piece) -> tuple[str, int]:
        """[IV.A.2.d]"""
        content = message.take(message.left)
        if content in TYPES:
            return TYPES[content]
        size = int.from_bytes(content[4:], "little")
        if content[:4] != TEXT_TYPE or len(content) != 8 or not 0 < size <= LONGEST_TEXT:
            self.refuse(f"{message.what} is unknown")
        return "text", size

    def one_piece(self, storage: Piece, size: int, path: str) -> None:
        """[IV.A.2.i, version 3, class 1]"""
        storage.expect(b"\3\1")
        address, stored = storage.numbers("QQ")
        if stored != size or (size == 0) != (address == NOWHERE):
            self.refuse(f"{path} should have {size} bytes")
        if size:
            self.pieces.claim(address, size, path)

    def chunks(self, storage: Piece, shape: tuple[int, ...], itemsize: int, path: str) -> None:
        """[IV.A.2.i, version 3, class 2; III.A.1 for the keys: bytes, filters left out, first index of each axis and 0]"""
        storage.expect(b"\3\2")
        axes, tree, *chunk = storage.numbers(f"BQ{len(shape) + 1}I")
        steps = chunk[:-1]
        if not steps or axes != len(chunk) or chunk[-1] != itemsize or not all(0 < step <= n for step, n in zip(steps, shape, strict=True)):
            self.refuse(f"the chunks of {path} don't fit")
        addresses, keys = self.tree(tree, 1, 64, f"II{axes}Q", path)
        if len(addresses) != math.prod(-(-n // step) for step, n in zip(steps, shape, strict=True)):
            self.refuse(f"{path} has {len(addresses)} chunks")
        size = math.prod(chunk) + 4  # fletcher32's
        starts = itertools.product(*(range(0, n, step) for step, n in zip(steps, shape, strict=True)))
        for address, key, start in zip(addresses, keys, starts, strict=False):
            if key != (size, 0, *start, 0):
                self.refuse(f"the chunks of {path} are out of order")
            self.pieces.claim(address, size, path)
        if keys[-1][2:] <= keys[-2][2:] or any(index % step for index, step in zip(keys[-1][2:], chunk, strict=True)):
            self.refuse(f"the chunks of {path} have no end")

    # What both have: headers, attributes, trees

    def header(self, address: int, path: str, *allowed: set[str]) -> tuple[dict[str, Piece], Attributes]:
        """The messages of an object by their kind, which must be one of the allowed sets of kinds, and its attributes."""
        found, attributes = {}, {}
        for kind, message in self.messages(address, path):
            name, value = self.attribute(message) if kind == "attribute" else (kind, message)
            into = attributes if kind == "attribute" else found
            if name in into:
                self.refuse(f"{path} has two of {name}")
            into[name] = value
        if found.keys() not in allowed:
            self.refuse(f"the header of {path} has {', '.join(found) or 'nothing'}")
        return found, attributes

    def messages(self, address: int, path: str) -> Iterator[tuple[str, Piece]]:
        """(kind, content) of the messages in a header, which is continued elsewhere. [IV.A.1.a]"""
        what = f"the header of {path}"
        start = self.pieces.read(address, 16, what)
        start.expect(b"\1\0")
        count, links, size = start.numbers("HII")
        start.end()
        if links not in (1, 2):
            self.refuse(f"{what} has {links} links")
        blocks = [self.pieces.read(address + 16, size, what)]
        for block in blocks:
            while block.left:
                number, length, flags = block.numbers("HHB")
                block.expect(bytes(3))
                kind, usual_flags = MESSAGES.get(number, (None, None))
                if flags != usual_flags or length % 8:
                    self.refuse(f"{what} tells of {FOREIGN.get(number, f'something unknown ({number})')}")
                message, count = block.part(length, f"the {kind} of {path}"), count - 1
                if kind == "continuation":
                    blocks.append(self.pieces.read(*message.numbers("QQ"), what))
                    message.end()
                elif kind != "nothing":
                    yield kind, message
        if count:
            self.refuse(f"{what} has another number of messages than it says")

    def attribute(self, message: Piece) -> tuple[str, str | list[str]]:
        """Name and value: a text or a list of texts. [IV.A.2.m, version 1]"""
        message.expect(b"\1\0")
        name, type_, shape = (message.part(length, message.what) for length in message.numbers("HHH"))
        name, end = name.content[:-1].decode("latin-1"), name.content[-1:]
        shape = self.shape(shape)
        if not NAME.fullmatch(name) or end != b"\0" or type_.content != ATTRIBUTE_TYPE or len(shape) > 1:
            self.refuse(f"{message.what} is of an unknown kind")
        texts = [self.text(*message.numbers("IQI"), message.what) for _ in range(math.prod(shape))]
        message.end()
        return name, texts if shape else texts[0]

    def text(self, size: int, collection: int, index: int, what: str) -> str:
        """[III.E, IV.B]"""
        if size > LONGEST_TEXT:
            self.refuse(f"{what} has {size:,} bytes")
        if collection not in self.texts:
            self.texts[collection] = self.collection(collection)
        content = self.texts[collection].pop(index, None)  # each text belongs to one attribute
        if content is None or len(content) != size:
            self.refuse(f"{what} is not there")
        text = content.decode(errors="replace")
        if "\ufffd" in text or not text.isprintable():
            self.refuse(f"{what} is not a text of one line")
        return text

    def collection(self, address: int) -> dict[int, bytes]:
        """The texts of one place by number; 0 is the room that is left. [III.E]"""
        what = "the texts of attributes"
        start = self.pieces.read(address, 16, what)
        start.expect(b"GCOL\1\0\0\0")
        (size,) = start.numbers("Q")
        self.text_size += size
        if size < 4096 or self.text_size > MOST_TEXT:
            self.refuse(f"{what} have {self.text_size:,} bytes")
        rest, texts = self.pieces.read(address + 16, size - 16, what), {}
        while rest.left >= 16:
            index, _, _, size = rest.numbers("HHIQ")
            if index == 0 and size == rest.left + 16:
                break
            if index == 0 or index in texts:
                self.refuse(f"{what} are not numbered")
            texts[index] = rest.take(size)
            rest.take(-size % 8)
        return texts

    def tree(self, root: int, kind: int, width: int, key: str, path: str) -> tuple[list[int], list[tuple[int, ...]]]:
        """The children of a B-tree's leaves, in order, and the keys before, between and behind them. [III.A.1]"""
        children, keys, level = [root], None, None
        while level != 0:
            nodes = [self.node(child, kind, width, key, path) for child in children]
            level = nodes[0].level if level is None else level - 1
            around = zip([NOWHERE, *children], [*children[1:], NOWHERE], strict=False)
            for number, (node, neighbours) in enumerate(zip(nodes, around, strict=True)):
                if (node.level, *node.neighbours) != (level, *neighbours):
                    self.refuse(f"the tree of {path} is tangled")
                if keys and (node.keys[0], node.keys[-1]) != (keys[number], keys[number + 1]):
                    self.refuse(f"the tree of {path} is out of order")
            children = [child for node in nodes for child in node.children]
            keys = [*(key for node in nodes for key in node.keys[:-1]), nodes[-1].keys[-1]]
        return children, keys

    def node(self, address: int, kind: int, width: int, key: str, path: str) -> "_Node":
        size = 24 + 8 * width + struct.calcsize(f"<{key}") * (width + 1)
        node = self.pieces.read(address, size, f"the tree of {path}")
        node.expect(b"TREE" + bytes([kind]))
        level, used, *neighbours = node.numbers("BHQQ")
        if used > width or (level and not used):
            self.refuse(f"the tree of {path} has a wrong number of branches")
        keys, children = [], []
        for _ in range(used):
            keys.append(node.numbers(key))
            children += node.numbers("Q")
        return _Node(level, neighbours, [*keys, node.numbers(key)], children)


class _Node(NamedTuple):
    """A node of a B-tree. neighbours: addresses of the nodes to its left and right."""

    level: int
    neighbours: list[int]
    keys: list[tuple[int, ...]]
    children: list[int]
