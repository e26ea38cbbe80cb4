"""Which files are photographs: those that the arguments of a command name, and those of known formats in a folder.

The formats are a fixed list. Pillow also knows the suffixes of documents, films and scientific data, for some of which it starts other
programs.
"""

import shlex
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from PIL import Image, features

from pipeline.errors import InputError
from pipeline.units import counted, printable

# Pillow's format -> suffixes of file names. TGA comes last, because its files do not begin with a mark of their own.
_READABLE = {
    "JPEG": ".jpg .jpeg .jpe .jfif .mpo",
    "MPO": "",
    "PNG": ".png .apng",
    "TIFF": ".tif .tiff",
    "WEBP": ".webp",
    "AVIF": ".avif .avifs",
    "GIF": ".gif",
    "BMP": ".bmp",
    "DIB": ".dib",
    "JPEG2000": ".jp2 .j2k .jpf .jpx .jpc .j2c",
    "PPM": ".ppm .pgm .pbm .pnm",
    "PSD": ".psd",
    "TGA": ".tga",
}
# What it is -> suffixes, and a command that converts such a file. AVIF is listed for Pillow without libavif.
_CONVERTIBLE = {
    "HEIC photograph": (".heic .heif .hif .heics .heifs", "magick {name} {stem}.jpg"),
    "AVIF photograph": (".avif .avifs", "magick {name} {stem}.jpg"),
    "JPEG XL photograph": (".jxl", "magick {name} {stem}.jpg"),
    "raw photograph": (
        ".3fr .arw .cr2 .cr3 .crw .dcr .dng .erf .iiq .kdc .mef .mos .mrw .nef .nrw .orf .pef .raf .raw .rw2 .rwl .sr2 .srf .srw .x3f",
        "magick {name} {stem}.jpg",
    ),
    "DICOM image": (".dcm .dicom .ima", "magick {name} {stem}.png"),
    "NIfTI volume": (".nii .nii.gz", "med2image -i {name} -o {stem}.png"),
    "document": (".pdf .ps .eps", "magick -density 200 {name} {stem}.png"),
    "video": (
        ".3gp .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ogv .webm .wmv",
        "ffmpeg -i {name} -vf fps=1 {stem}-%04d.jpg",
    ),
}
# The first bytes of a file in an ISO base media container: its length, "ftyp", and a brand.
_BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "HEIC photograph"),
    **dict.fromkeys((b"avif", b"avis"), "AVIF photograph"),
    **dict.fromkeys((b"isom", b"iso2", b"mp41", b"mp42", b"qt  ", b"M4V ", b"3gp4", b"3gp5"), "video"),
    b"crx ": "raw photograph",
}


def formats() -> list[str]:
    """Pillow's names of the formats that are read, in the order in which they are tried."""
    Image.init()
    return [name for name in _READABLE if name in Image.OPEN]


def suffixes() -> set[str]:
    """The suffixes of readable files, in lower case, with the dot."""
    return {suffix for name in formats() if name != "AVIF" or features.check("avif") for suffix in _READABLE[name].split()}


def listed(arguments: Iterable[Path]) -> list[Path]:
    """The photographs that the arguments name, each once: the files themselves, and the photographs directly in a folder, sorted by name.

    No file is opened, so that nothing waits for a pipe. Raises InputError for a path that is neither a file nor a folder, and for a folder
    that cannot be read or has no photographs.
    """
    found: dict[Path, None] = {}
    for path in arguments:
        mode = _mode(path)
        if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
            raise InputError(f"{printable(path)} is a pipe, a socket or a device; save the photograph to a file and name that.")
        files = _with_suffix(path, suffixes()) if stat.S_ISDIR(mode) else [path]
        if not files:
            others = "".join(f" {line}" for line in advice(convertible([path])))
            raise InputError(
                f"{printable(path)} contains no photographs (files such as .jpg, .png, .tif).{others or ' Give another folder or files.'}"
            )
        found |= dict.fromkeys(files)
    return list(found)


def convertible(arguments: Iterable[Path]) -> list[Path]:
    """The files in the folders among the arguments that another program can turn into photographs, sorted by name within a folder."""
    known = {suffix for own, _ in _CONVERTIBLE.values() for suffix in own.split()} - suffixes()
    return [path for folder in arguments if folder.is_dir() for path in _with_suffix(folder, known)]


def advice(paths: Iterable[Path]) -> Iterator[str]:
    """Yields a sentence for each kind of file: how many there are and how to convert one of them."""
    kinds: dict[str, list[Path]] = {}
    for path in paths:
        if kind := _kind_by_suffix(path):
            kinds.setdefault(kind, []).append(path)
    for kind, files in kinds.items():
        among = f" ({printable(files[0])} among them)" if len(files) > 1 else f" ({printable(files[0])})"
        is_or_are = "is" if len(files) == 1 else "are"
        yield f"{counted(len(files), kind)}{among} {is_or_are} not read; convert first, for example: {conversion(files[0], kind)}"


def conversion(path: Path, kind: str) -> str:
    """The command that converts a file of this kind."""
    name, stem = (shlex.quote(printable(text)) for text in (path.name, path.stem))
    return _CONVERTIBLE[kind][1].format(name=name, stem=stem)


def halving(path: Path) -> str:
    """The command that reduces a photograph to half its size."""
    name, suffix = shlex.quote(printable(path.name)), ".jpg" if path.suffix.lower() in _READABLE["JPEG"].split() else ".png"
    return f"magick {name} -resize 50% {shlex.quote(printable(path.stem) + '-half' + suffix)}"


def unsupported(path: Path, start: bytes) -> str | None:
    """What a file is that cannot be read but converted, by its first 12 bytes or else by its suffix; None if that is unknown."""
    if start.startswith(b"%PDF") or start.startswith(b"%!PS"):
        return "document"
    return (_BRANDS.get(start[8:12]) if start[4:8] == b"ftyp" else None) or _kind_by_suffix(path)


def _kind_by_suffix(path: Path) -> str | None:
    name = path.name.lower()
    return next((kind for kind, (own, _) in _CONVERTIBLE.items() if name.endswith(tuple(own.split()))), None)


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{printable(path)} does not exist.") from None
    except OSError as error:
        raise InputError(f"{printable(path)} cannot be read: {(error.strerror or str(error)).lower()}.") from None


def _with_suffix(folder: Path, known: set[str]) -> list[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"{printable(folder)} cannot be read: {(error.strerror or str(error)).lower()}.") from None
    return [path for path in entries if path.suffix.lower() in known and path.name[0] != "." and _may_be_file(path)]


def _may_be_file(path: Path) -> bool:
    """Whether it is a regular file or, where the folder may be listed but not entered, could be one."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except PermissionError:
        return True
    except OSError:  # a link that leads nowhere, or a file that has just been removed
        return False
