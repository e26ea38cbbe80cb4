"""The layout of an HDF5 file, examined without the HDF5 library; any file that this program would not have written is refused.

The library trusts what it reads: of 3,000 artifacts in which a few bytes of metadata were changed, with a checksum to match, 4 crashed it
(a chunk shorter than its checksum) and 28 made it loop forever (a text without number and length), in HDF5 1.14.6 and 2.0 alike. Therefore
only the few structures that h5py writes for an artifact are accepted (h5py 3.14 to 3.16 write the same bytes), and every byte of them that
the library heeds is checked here first. Nothing else may occur in an artifact: no soft or external links, no virtual datasets, no datasets
in other files, no compression, no references and no unknown types.

Brackets refer to sections of the HDF5 File Format Specification, version 3.0,
https://support.hdfgroup.org/documentation/hdf5/latest/_s_p_e_c.html
"""

import itertools
import math
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, NoReturn

from pipeline.store.hdf5.bytereader import Piece, Pieces
from pipeline.store.hdf5.tree import Attributes, StoredArray, StoredGroup

MOST_NESTED = 8  # levels of groups
MOST_AXES = 8
LARGEST_SHAPE = 1 << 40  # values
LONGEST_TEXT = 1 << 16  # bytes of one text; the provenance of a net takes about 2,000
MOST_TEXT = 1 << 24  # bytes of the texts of all attributes
NAME = re.compile(r"\w[\w.:-]{0,199}", re.ASCII)

NOWHERE = 2**64 - 1
SUPERBLOCK = b"\x89HDF\r\n\x1a\n" + bytes.fromhex("00000000 00080800 04001000 00000000")
TYPES = {  # the exact bytes of a datatype message: (numpy's name of the type, bytes per value)
    **{
        bytes.fromhex(f"10{sign}0000 {size:02x}000000 0000{8 * size:02x}00 00000000"): (f"{name}{8 * size}", size)
        for name, sign in (("uint", "00"), ("int", "08"))
        for size in (1, 2, 4, 8)
    },
    bytes.fromhex("11201f00 04000000 00002000 17080017 7f000000 00000000"): ("float32", 4),
    bytes.fromhex("11203f00 08000000 00004000 340b0034 ff030000 00000000"): ("float64", 8),
    bytes.fromhex("18020000 01000000 10080000 01000000 00000800 46414c53 45000000 54525545 00000000 00010000"): ("bool", 1),  # FALSE, TRUE
}
TEXT_TYPE = bytes.fromhex("13010000")  # followed by the number of bytes
ATTRIBUTE_TYPE = bytes.fromhex("19010100 10000000 10000000 01000000 00000800")  # a UTF-8 text of variable length
FLETCHER32 = bytes.fromhex("01010000 00000000 03001000 00000000") + b"fletcher32"
FILL_VALUE = bytes.fromhex("02020201")  # none
FILL_VALUE_OF_CHUNKS = bytes.fromhex("02030201")
MESSAGES = {  # number: (kind, expected flags) [IV.A.2]
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
FOREIGN = {0x02: "links of the newer kind, such as those to other files", 0x07: "storage in another file"}
# The messages that the header of an object consists of, apart from its attributes.
GROUP = {"members"}
ONE_PIECE = {"shape", "type", "fill value", "storage"}
CHUNKED = ONE_PIECE | {"filter"}


def survey(file: BinaryIO, path: Path, start: int) -> StoredGroup:
    """The root group of the HDF5 file that begins at byte `start` of an open file.

    Raises Damaged unless the file has the layout of an artifact and contains all bytes that its datasets declare, each for one dataset.

    path: the name of the file in messages.
    """
    return _Survey(Pieces(file, path, start)).root()


class _Survey:
    """One walk through one file, which refuses everything that it does not expect."""

    def __init__(self, pieces: Pieces):
        self.pieces = pieces
        self.texts: dict[int, dict[int, bytes]] = {}
        self.text_size = 0
        self.datasets: dict[int, StoredArray] = {}

    def refuse(self, what: str) -> NoReturn:
        """Raises Damaged, with `what` as the reason."""
        self.pieces.refuse(what)

    def root(self) -> StoredGroup:
        """The superblock [II.A] and the root group [III.C]."""
        block = self.pieces.read(0, 96, "the superblock")
        block.expect(SUPERBLOCK)
        base, free_space, end, driver, name, header, cached, tree, names = block.numbers("9Q")
        if (base, free_space, driver, name, cached) != (self.pieces.start, NOWHERE, NOWHERE, 0, 1):
            self.refuse("the superblock has an unknown format")
        if end != base + self.pieces.size:
            self.refuse(f"it has {base + self.pieces.size} bytes but {end} were written")
        root = self.group(header, (tree, names), "/", 0)
        self.pieces.check_overlaps()
        return root

    # Groups

    def group(self, header: int, members_at: tuple[int, int], path: str, depth: int) -> StoredGroup:
        """The group with this header. The entry that led here repeats `members_at`: the addresses of the tree and names of its members."""
        if depth > MOST_NESTED:
            self.refuse(f"{path} is nested too deeply")
        messages, attributes = self.header(header, path, GROUP)
        if messages["members"].numbers("QQ") != members_at:
            self.refuse(f"{path} has two lists of members")
        messages["members"].end()
        members: dict[str, StoredGroup | StoredArray] = {}
        # The group "plot", which a viewer shows first, contains hard links to the datasets of other groups: these groups come first.
        for entry in sorted(self.entries(*members_at, path), key=lambda entry: entry.name == "plot"):
            inner = f"{path.rstrip('/')}/{entry.name}"
            if entry.kind == 0:
                members[entry.name] = self.dataset(entry.header, inner, linked=path == "/plot")
            elif entry.kind == 1:
                members[entry.name] = self.group(entry.header, entry.members_at, inner, depth + 1)
            else:
                self.refuse(f"{inner} is a soft link")
        return StoredGroup(members, attributes)

    def entries(self, tree: int, names: int, path: str) -> Iterator["_Entry"]:
        """The entries of a group's members, sorted by name. [III.B, III.C]"""
        content, previous = self.names(names, path), ""
        tables, bounds = self.tree(tree, _TreeOf(kind=0, width=32, key="Q", path=path))
        if bounds[0] != (0,):  # the empty name, which sorts before all others
            self.refuse(f"the list of {path} is out of order")
        for address, bound in zip(tables, bounds[1:], strict=True):
            table, place = self.pieces.read(address, 8 + 8 * 40, f"a list of {path}"), None
            table.expect(b"SNOD\1\0")
            for _ in range(table.number("H")):
                place, header, kind, _, inner_tree, inner_names = table.numbers("QQIIQQ")
                name = content[place : content.find(b"\0", place)].decode("latin-1")
                if not NAME.fullmatch(name) or name <= previous:
                    self.refuse(f"a name in {path} is empty, too long, out of order, or has unusual characters")
                yield _Entry(name, header, kind, (inner_tree, inner_names))
                previous = name
            if bound != (place,):
                self.refuse(f"the list of {path} is out of order")

    def names(self, address: int, path: str) -> bytes:
        """The names of a group's members, each terminated by a zero byte. [III.D]"""
        heap = self.pieces.read(address, 32, f"the names of {path}")
        heap.expect(b"HEAP\0\0\0\0")
        size, free, segment = heap.numbers("QQQ")
        names = self.pieces.read(segment, size, f"the names of {path}")
        if free != 1:  # 1: the heap is full; otherwise it has one free block, at its end
            names.take(free)
            if names.numbers("QQ") != (1, size - free):
                self.refuse(f"the names of {path} have gaps")
        content = names.content[: size if free == 1 else free]
        if content[:1] != b"\0" or content[-1:] != b"\0":
            self.refuse(f"the names of {path} are not terminated")
        return content

    # Datasets

    def dataset(self, header: int, path: str, *, linked: bool) -> StoredArray:
        """The dataset with this header.

        linked: whether this may be a second hard link to a dataset.
        """
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
        """The shape in a dataspace message. [IV.A.2.b]

        may_grow: whether the first axis may be unlimited.
        """
        version, axes, limited = message.numbers("BBB")
        message.expect(bytes(5))
        if version != 1 or axes > MOST_AXES or limited != (axes > 0):
            self.refuse(f"{message.what} has an unknown format")
        shape, largest = message.numbers(f"{axes}Q"), message.numbers(f"{axes}Q")
        message.end()
        if largest != shape and not (may_grow and largest == (NOWHERE, *shape[1:])):
            self.refuse(f"{message.what} is extendible")
        if math.prod(n or 1 for n in shape) > LARGEST_SHAPE:  # numpy must be able to create even an empty array of this shape
            self.refuse(f"{message.what} is too large")
        return shape

    def dtype(self, message: Piece) -> tuple[str, int]:
        """Numpy's name of the type in a datatype message, and the bytes per value. [IV.A.2.d]"""
        content = message.take(message.left)
        if content in TYPES:
            return TYPES[content]
        size = int.from_bytes(content[4:], "little")
        if content[:4] != TEXT_TYPE or len(content) != 8 or not 0 < size <= LONGEST_TEXT:
            self.refuse(f"{message.what} is unknown")
        return "text", size

    def one_piece(self, storage: Piece, size: int, path: str) -> None:
        """Claims the bytes of a contiguous dataset. [IV.A.2.i, version 3, class 1]"""
        storage.expect(b"\3\1")
        address, stored = storage.numbers("QQ")
        if stored != size or (size == 0) != (address == NOWHERE):
            self.refuse(f"{path} should have {size} bytes")
        if size:
            self.pieces.claim(address, size, path)

    def chunks(self, storage: Piece, shape: tuple[int, ...], itemsize: int, path: str) -> None:
        """Claims the bytes of a chunked dataset. [IV.A.2.i, version 3, class 2]

        The keys of its tree are the number of bytes, the filters left out, the first index along each axis, and 0 [III.A.1].
        """
        storage.expect(b"\3\2")
        axes, tree, *chunk = storage.numbers(f"BQ{len(shape) + 1}I")
        steps = chunk[:-1]
        if not steps or axes != len(chunk) or chunk[-1] != itemsize or not all(0 < step <= n for step, n in zip(steps, shape, strict=True)):
            self.refuse(f"the chunks of {path} do not fit its shape")
        addresses, keys = self.tree(tree, _TreeOf(kind=1, width=64, key=f"II{axes}Q", path=path))
        if len(addresses) != math.prod(-(-n // step) for step, n in zip(steps, shape, strict=True)):
            self.refuse(f"{path} has {len(addresses)} chunks")
        size = math.prod(chunk) + 4  # fletcher32's
        starts = itertools.product(*(range(0, n, step) for step, n in zip(steps, shape, strict=True)))
        for address, key, start in zip(addresses, keys, starts, strict=False):
            if key != (size, 0, *start, 0):
                self.refuse(f"the chunks of {path} are out of order")
            self.pieces.claim(address, size, path)
        if keys[-1][2:] <= keys[-2][2:] or any(index % step for index, step in zip(keys[-1][2:], chunk, strict=True)):
            self.refuse(f"the end of the chunks of {path} is not marked")

    # What both have: headers, attributes, trees

    def header(self, address: int, path: str, *allowed: set[str]) -> tuple[dict[str, Piece], Attributes]:
        """The messages of an object by kind, which must form one of the sets `allowed`, and the attributes of the object."""
        found: dict[str, Piece] = {}
        attributes: Attributes = {}
        for kind, message in self.messages(address, path):
            if kind == "attribute":
                name, value = self.attribute(message)
                if name in attributes:
                    self.refuse(f"{path} has the attribute {name} twice")
                attributes[name] = value
            else:
                if kind in found:
                    self.refuse(f"the header of {path} has the {kind} twice")
                found[kind] = message
        if set(found) not in allowed:
            self.refuse(f"the header of {path} has {', '.join(found) or 'nothing'}")
        return found, attributes

    def messages(self, address: int, path: str) -> Iterator[tuple[str, Piece]]:
        """The kind and content of each message in a header and in its continuation blocks. [IV.A.1.a]"""
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
                kind, usual_flags = MESSAGES.get(number, ("", -1))
                if flags != usual_flags or length % 8:
                    self.refuse(f"{what} mentions {FOREIGN.get(number, f'something unknown (message {number})')}")
                message, count = block.part(length, f"the {kind} of {path}"), count - 1
                if kind == "continuation":
                    block_address, block_size = message.numbers("QQ")
                    blocks.append(self.pieces.read(block_address, block_size, what))
                    message.end()
                elif kind != "nothing":
                    yield kind, message
        if count:
            self.refuse(f"{what} does not have the number of messages that it states")

    def attribute(self, message: Piece) -> tuple[str, str | list[str]]:
        """The name and value of an attribute: a text or a list of texts. [IV.A.2.m, version 1]"""
        message.expect(b"\1\0")
        name_part, type_part, shape_part = [message.part(length, message.what) for length in message.numbers("HHH")]
        name, end = name_part.content[:-1].decode("latin-1"), name_part.content[-1:]
        shape = self.shape(shape_part)
        if not NAME.fullmatch(name) or end != b"\0" or type_part.content != ATTRIBUTE_TYPE or len(shape) > 1:
            self.refuse(f"{message.what} has an unknown format")
        texts = [self.text(message) for _ in range(math.prod(shape))]
        message.end()
        return name, texts if shape else texts[0]

    def text(self, message: Piece) -> str:
        """The text that the next bytes of an attribute refer to. [III.E, IV.B]"""
        size, collection, index = message.numbers("IQI")
        if size > LONGEST_TEXT:
            self.refuse(f"{message.what} has {size:,} bytes")
        if collection not in self.texts:
            self.texts[collection] = self.collection(collection)
        content = self.texts[collection].pop(index, None)  # each text belongs to one attribute
        if content is None or len(content) != size:
            self.refuse(f"{message.what} refers to a missing text")
        text = content.decode(errors="replace")
        if "\ufffd" in text or not text.isprintable():
            self.refuse(f"{message.what} is not a line of text")
        return text

    def collection(self, address: int) -> dict[int, bytes]:
        """The texts of a global heap collection by number; number 0 is free space. [III.E]"""
        what = "the texts of attributes"
        start = self.pieces.read(address, 16, what)
        start.expect(b"GCOL\1\0\0\0")
        size = start.number("Q")
        self.text_size += size
        if size < 4096 or self.text_size > MOST_TEXT:
            self.refuse(f"{what} have {self.text_size:,} bytes")
        rest = self.pieces.read(address + 16, size - 16, what)
        texts: dict[int, bytes] = {}
        while rest.left >= 16:
            index, _, _, size = rest.numbers("HHIQ")
            if index == 0 and size == rest.left + 16:
                break
            if index == 0 or index in texts:
                self.refuse(f"{what} are not numbered correctly")
            texts[index] = rest.take(size)
            rest.take(-size % 8)
        return texts

    def tree(self, root: int, of: "_TreeOf") -> tuple[list[int], list[tuple[int, ...]]]:
        """The children of the leaves of a B-tree, in order, and the keys before, between and after them. [III.A.1]"""
        children, level = [root], -1
        keys: list[tuple[int, ...]] = []
        while level != 0:
            nodes = [self.node(child, of) for child in children]
            level = nodes[0].level if level < 0 else level - 1
            around = zip([NOWHERE, *children], [*children[1:], NOWHERE], strict=False)
            for number, (node, neighbours) in enumerate(zip(nodes, around, strict=True)):
                if (node.level, node.neighbours) != (level, neighbours):
                    self.refuse(f"the tree of {of.path} is tangled")
                if keys and (node.keys[0], node.keys[-1]) != (keys[number], keys[number + 1]):
                    self.refuse(f"the tree of {of.path} is out of order")
            children = [child for node in nodes for child in node.children]
            keys = [*(key for node in nodes for key in node.keys[:-1]), nodes[-1].keys[-1]]
        return children, keys

    def node(self, address: int, of: "_TreeOf") -> "_Node":
        """One node of a B-tree."""
        size = 24 + 8 * of.width + struct.calcsize(f"<{of.key}") * (of.width + 1)
        node = self.pieces.read(address, size, f"the tree of {of.path}")
        node.expect(b"TREE" + bytes([of.kind]))
        level, used, left, right = node.numbers("BHQQ")
        if used > of.width or (level and not used):
            self.refuse(f"the tree of {of.path} has an impossible number of branches")
        keys: list[tuple[int, ...]] = []
        children: list[int] = []
        for _ in range(used):
            keys.append(node.numbers(of.key))
            children.append(node.number("Q"))
        return _Node(level, (left, right), [*keys, node.numbers(of.key)], children)


class _Entry(NamedTuple):
    """A member of a group. kind: 0 for a dataset, 1 for a group. members_at: see `_Survey.group`; meaningless for a dataset."""

    name: str
    header: int
    kind: int
    members_at: tuple[int, int]


class _TreeOf(NamedTuple):
    """A kind of B-tree. width: the number of children that a node has room for. key: the format of a key, as `struct` writes it."""

    kind: int
    width: int
    key: str
    path: str


class _Node(NamedTuple):
    """A node of a B-tree. neighbours: the addresses of the nodes to its left and right."""

    level: int
    neighbours: tuple[int, int]
    keys: list[tuple[int, ...]]
    children: list[int]
