"""The figures of a notebook, which stay as they are whatever this package draws."""

import sys


def keep_settings() -> None:
    """Imports matplotlib with the settings of the user, so that `plt.show()` still shows figures where the user wants them.

    The rest of this program would import it with its own settings, among them a backend that only writes files. Its own figures do not
    depend on these settings, see `pipeline.results.style`. Settings with which matplotlib cannot be imported are left to the user.
    """
    try:
        import matplotlib  # noqa: F401
    except Exception:
        # Otherwise the half-imported modules would make the next import fail, too.
        for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
            del sys.modules[name]
