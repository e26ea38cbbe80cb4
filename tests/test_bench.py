"""The programs in bench/, which no other test runs."""

from fresh import ROOT, run

PROGRAMS = sorted((ROOT / "bench").glob("*.py"))


def test_every_program_can_be_imported():
    """No program in bench/ needs a name that the package does not have, and none starts Keras before its options have been read."""
    code = (
        "import importlib, sys\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "for name in sys.argv[2:]:\n"
        "    importlib.import_module(name)\n"
        "    assert 'keras' not in sys.modules, name"
    )
    result = run("-c", code, ROOT / "bench", *(program.stem for program in PROGRAMS))
    assert result.returncode == 0, result.stderr
