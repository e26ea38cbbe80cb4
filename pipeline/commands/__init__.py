"""The `keypoints` command inspects the cache, uses its results and tidies it; it never trains.

Each subcommand has a module of its own in this package; `support` holds what several of them share.
"""

import argparse
import re
import sys
from pathlib import Path

from pipeline.errors import InputError, cause
from pipeline.store.workspace import console

DESCRIPTION = "The `keypoints` command inspects the cache, uses its results and tidies it; it never trains."
SUBCOMMANDS = {
    "status": "show which stages are cached, missing or stale and why, their sizes and durations, and what a run would cost",
    "inspect": "show the contents of an artifact: arrays, shapes, units, values, and what it was made from",
    "filters": "draw the filters of the first layer of a net",
    "activations": "draw the output of each convolution of a net for one face",
    "compare": "compare two results: differences in what they were made from, and accuracy on the same faces",
    "parameters": "list every parameter of the stages: current value, default, range, meaning",
    "forget": "quarantine the artifact of a stage and everything made from it, so that the next run recomputes them",
    "adopt": "keep the result of a stage although its code has changed, and put that on record",
    "clean": "list the files that no current stage needs, and remove them with --yes",
    "verify": "check every artifact of the workspace against its checksums",
    "annotate": "detect faces in your own photographs, and draw and list their keypoints",
    "doctor": "check this machine: packages, devices, disk space",
}
NEED_AN_ADDRESS = ("inspect", "filters", "activations", "forget", "adopt")
ADDRESS = "STAGE[:group][@key]"
EPILOG = (
    "Luigi's data and parameter flags (--dataset-path, --workspace-root, --TrainBase-epochs ...) select the run that the command refers to;"
    " without them it refers to the last run."
)

# Luigi's flags for this project: --STAGE-parameter, and those of the sections that are not stages.
LUIGIS_FLAG = re.compile(r"--([A-Z]\w*|checkpoint|dataset|device|memory|workspace)-[\w-]+")


def main(arguments: list[str] | None = None) -> int:
    """Runs a subcommand and returns its exit code: 0 for success, 1 if something needs attention, 2 for unusable arguments.

    An interrupt gives 130. Without `arguments`, those of the process are used.
    """
    with console.unfailing_prints():
        return _main(sys.argv[1:] if arguments is None else arguments)


def _main(arguments: list[str]) -> int:
    options, flags = _parser().parse_known_args(_joined(arguments))
    try:
        return _run(options, flags)
    except KeyboardInterrupt:
        print("keypoints: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if not (told := cause(error)):
            raise
        print(f"keypoints: {told}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="keypoints", description=DESCRIPTION, epilog=EPILOG)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in SUBCOMMANDS.items():
        description = f"{summary[0].upper()}{summary[1:]}."
        _add_arguments(name, commands.add_parser(name, help=summary, description=description, epilog=EPILOG, allow_abbrev=False))
    return parser


def _add_arguments(name: str, sub: argparse.ArgumentParser) -> None:
    if name in NEED_AN_ADDRESS:
        metavar = f"{ADDRESS}|FILE" if name == "inspect" else ADDRESS
        sub.add_argument("what", metavar=metavar, help="an artifact, for example TrainSpecialist:mouth")
    if name == "activations":
        faces = sub.add_mutually_exclusive_group()
        faces.add_argument("--face", metavar="N", type=_count, default=1, help="row of the training table, counted from 1 (default: 1)")
        faces.add_argument("--test-face", metavar="IMAGEID", type=_count, help="a face of the test table instead")
    if name in ("filters", "activations"):
        sub.add_argument("--out", metavar="FILE", help="the PNG file to write (default: named after the net, in the current folder)")
    if name == "annotate":
        _add_annotate_arguments(sub)
    if name == "compare":
        sub.add_argument("one", metavar=ADDRESS, help="for example TrainBase@3e8f")
        sub.add_argument("other", metavar=ADDRESS, help="without @key: the current artifact of the stage")
        sub.add_argument("--out", metavar="FILE", help="draw the learning curves of both into this PNG file")
    if name == "parameters":
        sub.add_argument("stages", metavar="STAGE", nargs="*", help="list only the parameters of these stages and sections")
    if name == "clean":
        sub.add_argument("--yes", action="store_true", help="remove the files that are listed")
        sub.add_argument("--older-than", metavar="AGE", default="0m", help="only files older than this, such as 7d, 12h, 30m or 2w")
        sub.add_argument("--keep-last", metavar="N", type=_count, default=0, help="keep the N newest artifacts of each stage")


def _add_annotate_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("photos", nargs="+", type=Path, metavar="PHOTO", help="an image file, or a folder that directly contains image files")
    sub.add_argument(
        "--out", type=Path, default=Path("annotated"), metavar="DIR", help="folder for the pictures and the table (default: annotated)"
    )
    sub.add_argument(
        "--box",
        metavar="X,Y,WIDTH,HEIGHT",
        help="position of the face in the photograph, in pixels, instead of detecting it (one PHOTO only)",
    )
    sub.add_argument("--format", choices=("csv", "json"), default="csv", help="format of the table of coordinates (default: csv)")


def _joined(arguments: list[str]) -> list[str]:
    """The arguments, with each of Luigi's flags joined to its value: argparse would take the value for a stage or a photograph."""
    joined, rest = [], list(arguments)
    while rest:
        word = rest.pop(0)
        has_value = LUIGIS_FLAG.fullmatch(word) and rest and not rest[0].startswith("--")
        joined.append(f"{word}={rest.pop(0)}" if has_value else word)
    return joined


def _run(options: argparse.Namespace, flags: list[str]) -> int:
    """Runs the subcommand of the options on the run that Luigi's flags select."""
    if options.command == "doctor":
        from pipeline.commands import doctor

        if flags:
            raise InputError(f"doctor checks only this machine. Leave out {' '.join(flags)}.")
        return doctor.run()
    from pipeline.commands import activations, adopt, clean, compare, filters, forget, inspect, parameters, status, verify
    from pipeline.commands.support.last_run import Run

    if options.command == "annotate":
        from pipeline.commands import annotate

    selected = Run.selected_by(flags)
    with selected.stages() as stages:
        match options.command:
            case "status":
                return status.run(stages)
            case "inspect":
                return inspect.run(options.what, stages)
            case "filters":
                return filters.run(options.what, stages, out=options.out)
            case "activations":
                return activations.run(options.what, stages, face=options.face, test_face=options.test_face, out=options.out)
            case "compare":
                return compare.run(options.one, options.other, options.out, stages)
            case "parameters":
                return parameters.run(options.stages)
            case "forget":
                return forget.run(options.what, stages)
            case "adopt":
                return adopt.run(options.what, stages)
            case "clean":
                limits = clean.Limits(clean.duration(options.older_than), options.keep_last)
                return clean.run(stages, str(selected), limits, yes=options.yes, others=selected.other_stages())
            case "verify":
                return verify.run()
            case _:
                request = annotate.Request(options.photos, options.out, options.box, options.format)
                return annotate.run(request, stages, selected.command)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not a whole number")
    return int(text)
