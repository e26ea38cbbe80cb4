"""The `keypoints` command inspects the cache, uses its results and tidies it; it never trains.

Each subcommand has a module of its own in this package; `support` holds what several of them share.
"""

import argparse
import dataclasses
import itertools
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands.support import overview
from pipeline.errors import InputError, cause, meant
from pipeline.store.workspace import console
from pipeline.store.workspace.called import called

if TYPE_CHECKING:
    from pipeline.commands.support.last_run import Run
    from pipeline.store.run.stage import Stage

GROUPS = {
    "Prepare": {
        "describe": "show what was understood of a keypoint set of your own, and what may be wrong with it",
        "review": "show the labels in the browser, the most doubtful ones first, and correct them",
        "convert": "write labels, with their corrections, or predictions in any label format",
    },
    "Look": {
        "status": "show which stages are cached, missing or stale and why, their sizes and durations, and what a run would cost",
        "inspect": "show the contents of an artifact: arrays, shapes, units, values, and what it was made from",
        "filters": "draw the filters of the first layer of a net",
        "activations": "draw the output of each convolution of a net for one sample",
        "runs": "list the runs of one or several workspaces: differing settings, score, date, duration, how they ended",
        "compare": "compare two results: differences in what they were made from, and accuracy on the same samples",
        "parameters": "list every parameter of the stages: current value, default, range, meaning",
    },
    "Use": {
        "annotate": "predict the keypoints of your own photographs, and draw and list them",
        "pack": "write the nets of a run into one file that needs neither the workspace nor the data",
        "kaggle": "download the files of Kaggle's competition, or submit to it; needs the extra kaggle",
        "export": "write the whole prediction of trained nets as one file for ONNX Runtime, LiteRT, OpenVINO or Keras",
        "demo": "write one page that finds keypoints in photographs, in a browser without access to a network",
    },
    "Tidy": {
        "forget": "quarantine the artifact of a stage and everything made from it, so that the next run recomputes them",
        "adopt": "keep the result of a stage although its code has changed, and put that on record",
        "clean": "list the files that no current stage needs, and remove them with --yes",
    },
    "Check": {
        "verify": "check every artifact of the workspace, or one file, against its checksums",
        "doctor": "check this machine: packages, devices, disk space",
    },
}
SUBCOMMANDS = {name: summary for group in GROUPS.values() for name, summary in group.items()}
NEED_AN_ADDRESS = ("inspect", "filters", "activations")
MAY_HAVE_AN_ADDRESS = {"forget": "--undo", "adopt": "--all"}
ADDRESS = "STAGE[:group][@key]"
ANY_ARTIFACT = f"{ADDRESS}|KEY|FILE"
EPILOG = (
    "Luigi's data and parameter flags (--dataset-path, --workspace-root, --TrainBase-epochs ...) select the run that the command refers to;"
    " without them it refers to the last finished run."
)

# Luigi's flags for this project: --STAGE-parameter, those of the sections that are not stages, and those of Predict without its name.
LUIGIS_FLAG = re.compile(r"--(([A-Z]\w*|checkpoint|dataset|devices?|memory|workspace)-[\w-]+|folds|base-share)")


def main(arguments: list[str] | None = None) -> int:
    """Runs a subcommand and returns its exit code: 0 for success, 1 if something needs attention, 2 for unusable arguments.

    An interrupt gives 130. Without `arguments`, those of the process are used.
    """
    with console.unfailing_prints():
        return _main(_joined(sys.argv[1:] if arguments is None else arguments))


def _main(words: list[str]) -> int:
    try:
        if not words:
            print(overview.text(GROUPS), end="")
            return 2
        _check_command(words)
        _check_not_empty(words)
        return _run(*_parser().parse_known_args(words))
    except KeyboardInterrupt:
        print("keypoints: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if not (told := cause(error)):
            raise
        print(f"keypoints: {told}", file=sys.stderr)
        return 2


def _check_command(words: list[str]) -> None:
    """Raises InputError if the first word that is no flag is not a command, and if there is none although no help was asked for."""
    command = next((word for word in words if not word.startswith("-")), None)
    if command in SUBCOMMANDS or (command is None and set(words) & {"-h", "--help", "--version"}):
        return
    if command is None:
        raise InputError(f"There is no command. `{called('keypoints', '--help')}` lists the commands.")
    if task := {name.lower(): name for name in overview.TASKS}.get(command.lower()):
        raise InputError(f"{task} is a task. To run it: {called('luigi', '--module', 'pipeline', task)}")
    raise InputError(f"There is no command {command}; {meant(command, SUBCOMMANDS)}")


def _check_not_empty(words: list[str]) -> None:
    """Raises InputError for an empty argument, which an unset variable of a shell gives: "" would be the current folder, or the default."""
    for before, word in itertools.pairwise(words):
        if re.fullmatch(r"--[\w-]+=", word) or not word.strip():
            flag = word or before
            subject = flag.removesuffix("=") if flag.startswith("--") else f"An argument of {words[0]}"
            raise InputError(f"{subject} is empty; give a value, or leave it out.")


class _Overview(argparse.ArgumentParser):
    """The parser of the whole command, whose help is the overview."""

    def format_help(self) -> str:
        """The commands, tasks and presets."""
        return overview.text(GROUPS)


def _parser() -> argparse.ArgumentParser:
    program = called("keypoints")
    parser = _Overview(prog=program, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"keypoints {overview.version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=argparse.ArgumentParser)
    for name, summary in SUBCOMMANDS.items():
        description = f"{summary[0].upper()}{summary[1:]}."
        _add_arguments(name, commands.add_parser(name, help=summary, description=description, epilog=EPILOG, allow_abbrev=False))
    return parser


def _add_arguments(name: str, sub: argparse.ArgumentParser) -> None:
    if name in NEED_AN_ADDRESS:
        sub.add_argument("what", metavar=ANY_ARTIFACT, help="an artifact, for example TrainSpecialist:mouth")
    if name in MAY_HAVE_AN_ADDRESS:
        sub.add_argument("what", metavar=ADDRESS, nargs="?", help="an artifact, for example TrainSpecialist:mouth")
    if name == "forget":
        sub.add_argument("--undo", action="store_true", help="restore what the last `forget` quarantined; repeat it for the one before")
    if name == "adopt":
        sub.add_argument("--all", action="store_true", help="adopt every stage whose code alone has changed")
    if name == "activations":
        faces = sub.add_mutually_exclusive_group()
        faces.add_argument(
            "--face",
            metavar="N",
            type=_count,
            default=1,
            help="row of the training table, or labelled sample of an own set, counted from 1 (default: 1)",
        )
        faces.add_argument(
            "--test-face", metavar="IMAGEID", type=_count, help="a face of the test table, or sample to predict of an own set, instead"
        )
    if name in ("filters", "activations"):
        sub.add_argument("--out", metavar="FILE", help="the PNG file to write (default: named after the net, in the current folder)")
    use = {"annotate": _add_annotate_arguments, "pack": _add_pack_arguments}
    use |= {"export": _add_export_arguments, "demo": _add_demo_arguments, "kaggle": _add_kaggle_arguments, "review": _add_review_arguments}
    if name in use:
        use[name](sub)
    if name in ("describe", "convert"):
        _add_set_arguments(name, sub)
    if name == "runs":
        sub.add_argument("workspaces", metavar="WORKSPACE", nargs="*", type=Path, help="a workspace (default: that of the last run)")
        sub.add_argument("--sort", choices=("score", "date"), default="score", help="best score or latest run first (default: score)")
        sub.add_argument("--format", choices=("table", "csv", "json"), default="table", help="what is printed (default: table)")
    if name == "verify":
        sub.add_argument("file", metavar="FILE", nargs="?", type=Path, help="check only this artifact or file of nets")
    if name == "compare":
        sub.add_argument("one", metavar=ANY_ARTIFACT, help="for example TrainBase@3e8f")
        sub.add_argument("other", metavar=ANY_ARTIFACT, help="STAGE without @key: the current artifact of the stage")
        sub.add_argument("--out", metavar="FILE", help="draw the learning curves of both into this PNG file")
    if name == "parameters":
        sub.add_argument("stages", metavar="STAGE", nargs="*", help="list only the parameters of these stages and sections")
    if name == "clean":
        sub.add_argument("--yes", action="store_true", help="remove the files that are listed")
        sub.add_argument("--older-than", metavar="AGE", default="0m", help="only files older than this, such as 7d, 12h, 30m or 2w")
        sub.add_argument("--keep-last", metavar="N", type=_count, default=0, help="keep the N newest artifacts of each stage")


def _add_review_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--port", metavar="N", type=_count, default=0, help="port of the page on this machine (default: any free one)")
    sub.add_argument("--no-browser", action="store_true", help="only print the address of the page")
    sub.add_argument(
        "--sample",
        nargs="+",
        metavar="NAME",
        default=[],
        help="start with this sample: its image (a row of Kaggle's table, from 1) and, if the image has several, its instance",
    )


def _add_annotate_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("photos", nargs="+", type=Path, metavar="PHOTO", help="an image file, or a folder that directly contains image files")
    sub.add_argument(
        "--out", type=Path, default=Path("annotated"), metavar="DIR", help="folder for the pictures and the table (default: annotated)"
    )
    sub.add_argument(
        "--box",
        metavar="X,Y,WIDTH,HEIGHT",
        help="position of the instance in the photograph, in pixels (one PHOTO only); without it, faces are detected for nets that were"
        " trained on faces, and for other nets the whole photograph is one instance",
    )
    sub.add_argument(
        "--nets",
        metavar="KEY|FILE",
        action="append",
        default=[],
        help="the nets of this file of `keypoints pack`, or of this Predict artifact, or only this base net (which cannot reject false"
        " detections), instead of those of the last finished run; also of another workspace, and if code or data have changed since;"
        " given several times, or with commas, the nets form an ensemble",
    )
    sub.add_argument(
        "--doubt",
        metavar="PERCENT",
        type=_percent,
        help="the largest disagreement of the nets with which a detection is taken for a face, in percent of the side of what they see"
        " (default: 1.6); 100 keeps every detection",
    )
    sub.add_argument("--format", choices=("csv", "json"), default="csv", help="format of the table of coordinates (default: csv)")


def _add_pack_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--out", metavar="FILE", type=Path, help="the file to write (default: NAME-nets.h5, after the keypoint set)")
    sub.add_argument("--nets", metavar="KEY|FILE", help="the nets of this Predict artifact, or only this base net; default: the last run's")
    sub.add_argument("--licence", metavar="TEXT", default="", help="licence of the nets, for their model card")
    sub.add_argument(
        "--intended-use", metavar="TEXT", action="append", default=[], help="what the nets are meant for; may be given several times"
    )


def _add_kaggle_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("action", choices=("download", "submit"), help="what to do")
    sub.add_argument(
        "what", nargs="?", metavar=ANY_ARTIFACT, help="submit: the artifact of Predict (default: that of the last finished run)"
    )
    sub.add_argument("--to", type=Path, metavar="FOLDER", help="download: the folder for Kaggle's zip file (default: data)")
    sub.add_argument("--message", default="", metavar="TEXT", help="submit: what to say besides the key and the validation RMSE")


def _add_export_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--format", required=True, metavar="FORMAT", help="onnx, litert, openvino or keras")
    sub.add_argument("--out", required=True, type=Path, metavar="DIR", help="the folder to write the files to")
    _add_exported_nets(sub)


def _add_demo_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--out", required=True, type=Path, metavar="PAGE.html", help="the page to write")
    sub.add_argument(
        "--runtime",
        type=Path,
        metavar="FILE",
        help="the archive that `npm pack onnxruntime-web` writes, or a folder of its files; without it, npm fetches version"
        " 1.30.0 once and keeps it in ~/.cache/keypoints",
    )
    _add_exported_nets(sub)


def _add_exported_nets(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--nets",
        metavar="KEY|FILE",
        action="append",
        default=[],
        help="the nets of this file of `keypoints pack`, or of this artifact, as for annotate; default: those of the last run",
    )
    sub.add_argument("--part", choices=("whole", "base"), default="whole", help="the whole prediction, or only that of the base net")
    sub.add_argument("--licence", metavar="TEXT", default="", help="licence of the nets (default: that of the file of nets)")


def _add_set_arguments(name: str, sub: argparse.ArgumentParser) -> None:
    what = "" if name == "describe" else "; or predictions: predictions-KEY.csv, heldout-KEY.csv, Predict[@key] or a key"
    sub.add_argument("set", metavar="FOLDER_OR_FILE", help=f"the folder of a keypoint set, or its label file{what}")
    sub.add_argument("--format", default="", metavar="FORMAT", help="the label format, if it is not recognised")
    sub.add_argument("--category", default="", metavar="NAME", help="the category to read, if the label files have several")
    sub.add_argument(
        "--keypoints", default="", metavar="FILE", help="what the label files do not say (default: keypoints.toml in the folder)"
    )
    if name == "describe":
        sub.add_argument("--test", default="", metavar="FOLDER", help="the images to predict (default: images without labels)")
        sub.add_argument("--split", default="", metavar="FILE", help="CSV file with the columns image and part")
        sub.add_argument(
            "--out", type=Path, metavar="PAGE.html", help="the page to write (default: describe-NAME.html in the current folder)"
        )
        sub.add_argument("--write", action="store_true", help="write a keypoints.toml for you to edit into the folder of the set")
    else:
        sub.add_argument("--to", required=True, metavar="FORMAT", help="the label format to write")
        sub.add_argument("--out", required=True, type=Path, metavar="PATH", help="the file or folder to write, which must not exist")
        sub.add_argument("--dataset-path", default="", metavar="FOLDER", help="the set of the predictions (default: that of the last run)")
        sub.add_argument("--source", default="", metavar="NAME", help="write only the labels of this annotation source")


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
    if options.command in ("describe", "convert"):
        return _on_set(options, flags)
    if options.command == "runs":
        return _on_workspaces(options, flags)
    if options.command == "kaggle" and _is_download(options, flags):
        from pipeline.commands import kaggle

        return kaggle.download(options.to or Path("data"))
    from pipeline.commands.support.last_run import Run, check_flags

    if (either := MAY_HAVE_AN_ADDRESS.get(options.command)) and bool(options.what) == vars(options)[either[2:]]:
        raise InputError(f"{options.command} needs either {ADDRESS} or {either}.")
    check_flags(flags, [f"--{name.replace('_', '-')}" for name in vars(options)])
    selected = Run.selected_by(flags)
    if options.command == "review":
        from pipeline.commands import review

        if len(options.sample) > 2:
            raise InputError(f"--sample {' '.join(options.sample)}: give only an image and an instance. Quote names that have spaces.")
        return review.run(review.Reviewed(options.port, not options.no_browser, tuple(options.sample)), selected)
    with selected.stages() as stages:
        if options.command == "status":
            print(selected.description())
        elif options.command in ("annotate", "pack", "export", "demo", "kaggle") and selected.last and not _names_nets(options):
            print(selected.description(), file=sys.stderr)
        code = _on_stages(options, stages, selected)
        if selected.last and _depends_on_the_run(options):
            print(selected.description(), file=sys.stderr)
        return code


def _names_nets(options: argparse.Namespace) -> bool:
    """Whether the user names the nets or the artifact that a subcommand uses."""
    return bool(vars(options).get("nets") or vars(options).get("what"))


def _on_set(options: argparse.Namespace, flags: list[str]) -> int:
    """Runs a subcommand that refers to a keypoint set: to no run, unless it converts the predictions of one."""
    from pipeline.commands import convert, describe
    from pipeline.data.definition import Asked

    if flags and (options.command != "convert" or not LUIGIS_FLAG.match(flags[0])):
        raise InputError(f"{options.command} has no option {flags[0]}; `{called('keypoints', options.command, '--help')}` lists them.")
    own = Asked(options.set, options.keypoints, options.format, options.category)
    if options.command == "convert":
        return convert.run(convert.Converted(own, options.to, options.out, options.source, options.dataset_path, tuple(flags)))
    own = dataclasses.replace(own, test=options.test, split=options.split)
    return describe.run(describe.Described(own, options.out, options.write))


def _on_workspaces(options: argparse.Namespace, flags: list[str]) -> int:
    """Runs a subcommand that refers to whole workspaces."""
    from pipeline.commands import runs

    named = [Path(flag.partition("=")[2]) for flag in flags if flag.startswith("--workspace-root=")]
    if len(named) < len(flags):
        raise InputError(f"{options.command} lists all runs of a workspace. Leave out {' '.join(flags)}.")
    return runs.run([*options.workspaces, *named], options.format, options.sort)


def _is_download(options: argparse.Namespace, flags: list[str]) -> bool:
    """Whether `keypoints kaggle` is to download. Raises InputError for arguments that belong to the other action."""
    own = {"download": ("to",), "submit": ("what", "message")}
    for action, names in own.items():
        if action != options.action and (given := [name for name in names if vars(options)[name]]):
            word = f"--{given[0]}" if given[0] != "what" else options.what
            raise InputError(f"{word} has no effect on kaggle {options.action}. Leave it out.")
    if options.action == "download" and flags:
        raise InputError(f"kaggle download needs no run. Leave out {' '.join(flags)}; --to FOLDER says where the files go.")
    return str(options.action) == "download"


def _depends_on_the_run(options: argparse.Namespace) -> bool:
    """Whether the run decides what a subcommand has shown or done, and whether nothing has said so yet."""
    from pipeline.commands.support.addresses import named

    if options.command in ("status", "annotate", "pack", "export", "demo", "kaggle", "clean", "verify") or vars(options).get("undo"):
        return False
    asked = [vars(options)[name] for name in ("what", "one", "other") if vars(options).get(name)]
    return not asked or any(named(what) is None for what in asked)


def _on_stages(options: argparse.Namespace, stages: "list[Stage]", selected: "Run") -> int:
    """Runs the subcommand of the options on the stages of the selected run."""
    from pipeline.commands import activations, adopt, clean, compare, filters, forget, inspect, kaggle, parameters, status, verify

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
            return forget.undo() if options.undo else forget.run(options.what, stages)
        case "adopt":
            return adopt.run_all(stages) if options.all else adopt.run(options.what, stages)
        case "clean":
            limits = clean.Limits(clean.duration(options.older_than), options.keep_last)
            return clean.run(stages, str(selected), limits, yes=options.yes, others=selected.other_stages())
        case "verify":
            return verify.run(options.file)
        case "pack":
            from pipeline.commands import pack

            packing = pack.PackRequest(options.out, options.nets, options.licence, tuple(options.intended_use))
            return pack.run(packing, stages, selected.command, selected.predicted)
        case "kaggle":
            return kaggle.submit(options.what, options.message, stages, selected)
        case "export":
            from pipeline.commands import export

            exported = export.ExportRequest(options.format, _every(options.nets), options.part, options.out, options.licence)
            return export.run(exported, stages, selected.command, selected.predicted)
        case "demo":
            from pipeline.commands import demo

            shown = demo.DemoRequest(_every(options.nets), options.out, options.runtime, options.part, options.licence)
            return demo.run(shown, stages, selected.command, selected.predicted)
        case _:
            from pipeline.commands import annotate

            nets = tuple(_every(options.nets))
            request = annotate.Request(options.photos, options.out, options.box, options.format, nets, options.doubt)
            return annotate.run(request, stages, selected.command, selected.predicted)


def _every(given: list[str]) -> list[str]:
    """The names in lists of names, see `_parts`."""
    return [part for one in given for part in _parts(one)]


def _parts(given: str) -> list[str]:
    """The names in a list that is separated by commas; the name of an existing file may contain commas."""
    return [given] if Path(given).exists() else [part for part in given.split(",") if part]


def _percent(text: str) -> float:
    """A percentage as a fraction."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 to 100")
    return value / 100


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not a whole number")
    return int(text)
