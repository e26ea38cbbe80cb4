"""The `keypoints` command: looks into the cache, uses it and tidies it; it never trains. One module for each subcommand."""

import argparse
import re
import sys
from pathlib import Path

from pipeline.errors import InputError, cause

SUBCOMMANDS = {
    "status": "which stages are cached, missing or stale and why, their size, how long they took, and what a run would cost",
    "inspect": "what is in an artifact: arrays, shapes, units, values, and what it was made from",
    "filters": "draw the filters of a net's first layer",
    "activations": "draw what each convolution of a net makes of a face",
    "compare": "two results: what differs in what they were made from, and how well they do on the same faces",
    "parameters": "every parameter of the stages: value now, default, range, meaning",
    "forget": "set a stage's artifact and all that was made from it aside, so that the next run makes them again",
    "adopt": "keep a stage's result in spite of a change of code, on the record",
    "clean": "list what no current stage needs, and remove it with --yes",
    "verify": "check every artifact of the workspace against its checksums",
    "annotate": "find faces in photographs of your own, and draw and list their keypoints",
    "doctor": "is this machine fit: packages, devices, disk space",
}


# luigi's flags for this project: --STAGE-parameter and those of the sections without a stage.
LUIGIS_FLAG = re.compile(r"--([A-Z]\w*|checkpoint|dataset|device|memory|workspace)-[\w-]+")


def main(arguments: list[str] | None = None) -> int:
    """Runs a subcommand and returns its exit code: 0 all well, 1 something to see to, 2 unusable arguments."""
    parser = argparse.ArgumentParser(prog="keypoints", description=__doc__.splitlines()[0])
    parser.epilog = (
        "Data and parameter flags are luigi's (--dataset-path, --workspace-root, --TrainBase-epochs ...); without them: the last run."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in SUBCOMMANDS.items():
        description = f"{summary[0].upper()}{summary[1:]}."
        sub = commands.add_parser(name, help=summary, description=description, epilog=parser.epilog, allow_abbrev=False)
        if name in ("inspect", "filters", "activations", "forget", "adopt"):
            sub.add_argument(
                "what", metavar="STAGE[:group][@key]" + ("|FILE" if name == "inspect" else ""), help="for example TrainSpecialist:mouth"
            )
        if name == "activations":
            faces = sub.add_mutually_exclusive_group()
            faces.add_argument("--face", metavar="N", type=_count, default=1, help="row of the training table, counted from 1 (default 1)")
            faces.add_argument("--test-face", metavar="IMAGEID", type=_count, help="a face of the test table instead")
        if name in ("filters", "activations"):
            sub.add_argument("--out", metavar="FILE", help="the PNG to write (default: named after the net, in the current folder)")
        if name == "annotate":
            _annotate_arguments(sub)
        if name == "compare":
            sub.add_argument("one", metavar="STAGE[:group][@key]", help="for example TrainBase@3e8f")
            sub.add_argument("other", metavar="STAGE[:group][@key]", help="without @key: the current one")
            sub.add_argument("--out", metavar="FILE", help="draw the learning curves of both into this PNG")
        if name == "parameters":
            sub.add_argument("stages", metavar="STAGE", nargs="*", help="of these alone")
        if name == "clean":
            sub.add_argument("--yes", action="store_true", help="remove what is listed")
            sub.add_argument("--older-than", metavar="AGE", default="0m", help="only what is older than this: 7d, 12h, 30m or 2w")
            sub.add_argument("--keep-last", metavar="N", type=_count, default=0, help="keep the N newest artifacts of each stage")
    options, flags = parser.parse_known_args(_joined(sys.argv[1:] if arguments is None else arguments))
    try:
        return _run(options, flags)
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:
        print("keypoints: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if not (told := cause(error)):
            raise
        print(f"keypoints: {told}", file=sys.stderr)
        return 2


def _joined(arguments: list[str]) -> list[str]:
    """The arguments, luigi's flags and their values each one word: argparse would take such a value for a stage or a photograph."""
    joined, rest = [], list(arguments)
    while rest:
        word = rest.pop(0)
        valued = LUIGIS_FLAG.fullmatch(word) and rest and not rest[0].startswith("--")
        joined.append(f"{word}={rest.pop(0)}" if valued else word)
    return joined


def _annotate_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("photos", nargs="+", type=Path, metavar="PHOTO", help="a picture, or a folder with pictures directly in it")
    sub.add_argument(
        "--out", type=Path, default=Path("annotated"), metavar="DIR", help="folder for pictures and table (default: annotated)"
    )
    sub.add_argument("--box", metavar="X,Y,WIDTH,HEIGHT", help="where the face is in the only PHOTO, in pixels; it is not looked for then")
    sub.add_argument("--format", choices=("csv", "json"), default="csv", help="of the table of coordinates")


def _run(options, flags: list[str]) -> int:
    if options.command == "doctor":
        from pipeline.commands import doctor

        if flags:
            raise InputError(f"doctor looks at this machine alone; leave out {' '.join(flags)}.")
        return doctor.run()
    from pipeline.commands import activations, adopt, clean, compare, filters, forget, inspect, parameters, status, verify
    from pipeline.commands.support.last_run import Run

    if options.command == "annotate":
        from pipeline.commands import annotate

    asked_for = Run.meant_by(flags)
    with asked_for.chain() as stages:
        if options.command == "status":
            return status.run(stages)
        if options.command == "compare":
            return compare.run(options.one, options.other, options.out, stages)
        if options.command == "parameters":
            return parameters.run(options.stages)
        if options.command == "verify":
            return verify.run()
        if options.command == "filters":
            return filters.run(options.what, stages, out=options.out)
        if options.command == "activations":
            return activations.run(options.what, stages, face=options.face, test_face=options.test_face, out=options.out)
        if options.command == "annotate":
            return annotate.run(options, stages, asked_for.command)
        if options.command == "clean":
            limits = {"older_than": options.older_than, "keep_last": options.keep_last}
            return clean.run(stages, str(asked_for), **limits, yes=options.yes, besides=asked_for.besides())
        return {"inspect": inspect, "forget": forget, "adopt": adopt}[options.command].run(options.what, stages)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is no whole number")
    return int(text)
