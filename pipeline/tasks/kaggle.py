"""Kaggle's three files: where they are, and what to do if one is missing."""

from collections.abc import Callable
from pathlib import Path

from pipeline.errors import InputError
from pipeline.store.run.targets import ExternalFile

KAGGLE_PAGE = "https://www.kaggle.com/c/facial-keypoints-detection/data"
PACK = "facial-keypoints-detection.zip"  # Kaggle's "Download all"
RENDERED = "run with --dataset-path rendered"
_LONGEST_HEADER = 1 << 16  # bytes
FILES = {"training": "training.csv or training.zip", "test": "test.csv or test.zip", "IdLookupTable": "IdLookupTable.csv"}


def files(folder: Path) -> dict[str, ExternalFile]:
    """The three files of a folder by stem, whether they exist or not. A zip file with all of them is a single task."""
    if folder.suffix.lower() == ".zip" and not is_kind(Path.is_dir, folder):
        advice = f"Name Kaggle's {PACK} or a folder with the files of {KAGGLE_PAGE}, or {RENDERED}."
        return dict.fromkeys(FILES, ExternalFile(path=str(folder), advice=advice))
    found = {stem: find(folder, stem) for stem in FILES}
    lacking = [stem for stem in FILES if not found[stem]]
    subject, advice = folder, f"Name the folder of a keypoint set, or of Kaggle's files ({KAGGLE_PAGE}), or {RENDERED}."
    if lacking and is_kind(Path.is_dir, folder):
        *names, last = [FILES[stem] for stem in lacking]
        subject = folder / f"{lacking[0]}.csv"
        advice = f"Put {', '.join(names)}{' and ' if names else ''}{last} of {KAGGLE_PAGE} into {folder}, or {RENDERED}."
    said = {"advice": advice, "subject": str(subject)}
    return {stem: ExternalFile(path=str(path or folder / f"{stem}.csv"), **said) for stem, path in found.items()}


def is_kind(kind: Callable[[Path], bool], path: Path) -> bool:
    """Whether a path is of a kind, Path.is_file or Path.is_dir; not if it may not be looked at."""
    try:
        return kind(path)
    except PermissionError:
        return False


def find(folder: Path, stem: str) -> Path | None:
    """STEM.csv or STEM.zip in a folder or in the zip file with all of them; None if there is neither."""
    from pipeline.data.formats import archives

    return archives.find_file(folder, stem)


def are_in(folder: Path) -> bool:
    """Whether a folder has any of Kaggle's files, or the zip file with all of them.

    A table called training.csv or test.csv may also be one of another label format.
    """
    found = [path for stem in FILES if (path := find(folder, stem))]
    if all(path.suffix == ".csv" and path.stem != "IdLookupTable" and not is_table(path) for path in found):
        return is_kind(Path.is_file, folder / PACK)
    return True


def is_table(path: Path) -> bool:
    """Whether a CSV file has one of the columns by which Kaggle's tables are known; also if it cannot be read."""
    try:
        with path.open("rb") as file:
            header = file.readline(_LONGEST_HEADER).decode("utf-8-sig")
    except (OSError, ValueError):
        return True
    return bool({"Image", "ImageId", "left_eye_center_x"} & {name.strip().strip('"') for name in header.split(",")})


def inside(path: Path, stem: str) -> Path:
    """The path of one of Kaggle's files: `path` itself or, if that is the zip file with all of them, the path of the file inside.

    Raises InputError if the zip file lacks the file.
    """
    if path.suffix.lower() != ".zip" or path.stem == stem:
        return path
    if not (found := find(path, stem)):
        raise InputError(f"{path} lacks {FILES[stem]}; give Kaggle's complete {PACK}, or a folder with the three files.")
    return found
