"""The `luigi` script of this installation, which pip installs over that of Luigi itself.

For the tasks of this project, it imports the project before Luigi, so that what is wrong with a configuration file or with the arguments
is one sentence; `--module pipeline` may be left out. For other modules, it does exactly what Luigi's own script does. It is no part
of the package `pipeline`, because importing that registers its tasks and its settings of Luigi.
"""

import argparse
import sys


def main() -> None:
    """Runs Luigi's command line with the arguments of the process, and ends the process with its exit code."""
    module = _module()
    if module is None:
        sys.argv[1:1] = ["--module", "pipeline"]
    if module in (None, "") or module.split(".")[0] == "pipeline":
        import pipeline  # noqa: F401
    from luigi.cmdline import luigi_run

    luigi_run(sys.argv[1:])


def _module() -> str | None:
    """The module that the arguments name, "" if a name is missing; None if they do not have --module, which Luigi lets users abbreviate."""
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument("--module")
    try:
        return parser.parse_known_args()[0].module
    except argparse.ArgumentError:
        return ""
