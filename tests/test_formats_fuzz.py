"""The readers of all label formats with damaged files, for seconds; `python -m tests.fuzz labels` does it for any length of time.

The sets that are damaged are those of `labelsets.SETS`.
"""

import labelsets
import mutations
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.data.formats import catalogue

FUZZ = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck), max_examples=60)


@pytest.mark.parametrize("name", labelsets.SETS)
def test_set_is_valid(name, tmp_path):
    """The set that is damaged is valid: it is recognised as its format, and read with labels."""
    labelsets.SETS[name](tmp_path)
    assert labelsets.read(name, tmp_path).instances


@pytest.fixture(scope="module", params=labelsets.SETS)
def damaged(request, tmp_path_factory):
    return mutations.labels_in(tmp_path_factory.mktemp(request.param), [request.param])


@settings(FUZZ)
@given(data=st.data())
def test_any_label_file(damaged, data):
    """Whatever was changed in a label file, it is read with labels that are possible or refused with an InputError of one line."""
    strategy, read = damaged
    read(data.draw(strategy))


def test_every_format_has_a_set():
    """Each format of the catalogue is fuzzed."""
    assert set(labelsets.SETS) == set(catalogue.FORMATS)
