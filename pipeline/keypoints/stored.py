"""A keypoint set as arrays, in which form artifacts carry it."""

import numpy as np

from pipeline.keypoints.definition import KeypointSet
from pipeline.schema import array, record


@record
class StoredSet:
    """The arrays of a `KeypointSet`: K keypoints, S annotation sources, G specialist groups. Indices are counted from 0."""

    name: np.ndarray = array("text", "", "", "name of the keypoint set")
    names: np.ndarray = array("text", "keypoint", "", "names of the keypoints")
    may_mirror: np.ndarray = array("bool", "", "", "whether images may be mirrored")
    mirror: np.ndarray = array("int16", "pair end", "", "keypoints that exchange places in a mirrored image")
    source_names: np.ndarray = array("text", "source", "", "names of the annotation sources")
    sources: np.ndarray = array("int16", "source member", "", "keypoints that an annotation source labels, then -1")
    group_names: np.ndarray = array("text", "group", "", "names of the specialist groups")
    groups: np.ndarray = array("int16", "group member", "", "keypoints of a specialist group in its order, then -1")
    skeleton: np.ndarray = array("int16", "line end", "", "keypoints that drawings join by a line")

    @classmethod
    def of(cls, keypointset: KeypointSet) -> "StoredSet":
        """The arrays of a keypoint set."""
        index = {name: number for number, name in enumerate(keypointset.names)}

        def pairs(given: tuple[tuple[str, str], ...]) -> np.ndarray:
            return np.array([[index[one], index[other]] for one, other in given], np.int16).reshape(-1, 2)

        def members(named: dict[str, tuple[str, ...]]) -> np.ndarray:
            rows = [[index[name] for name in names] for names in named.values()]
            longest = max(map(len, rows), default=0)
            return np.array([row + [-1] * (longest - len(row)) for row in rows], np.int16).reshape(len(rows), longest)

        return cls(
            name=np.array(keypointset.name),
            names=np.array(keypointset.names, dtype=str),
            may_mirror=np.array(keypointset.mirror is not None),
            mirror=pairs(keypointset.mirror or ()),
            source_names=np.array(keypointset.source_names, dtype=str),
            sources=members(keypointset.sources),
            group_names=np.array(tuple(keypointset.groups), dtype=str),
            groups=members(keypointset.groups),
            skeleton=pairs(keypointset.skeleton),
        )

    def restored(self) -> KeypointSet:
        """The keypoint set."""
        names = [str(name) for name in self.names]

        def pairs(indices: np.ndarray) -> tuple[tuple[str, str], ...]:
            return tuple((names[one], names[other]) for one, other in indices.tolist())

        def members(titles: np.ndarray, rows: np.ndarray) -> dict[str, tuple[str, ...]]:
            return {
                str(title): tuple(names[member] for member in row if member >= 0) for title, row in zip(titles, rows.tolist(), strict=True)
            }

        return KeypointSet(
            name=str(self.name),
            names=tuple(names),
            mirror=pairs(self.mirror) if self.may_mirror else None,
            sources=members(self.source_names, self.sources),
            groups=members(self.group_names, self.groups),
            skeleton=pairs(self.skeleton),
        )
