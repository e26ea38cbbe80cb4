"""The readers are tested with harmful files for seconds; `python -m tests.fuzz` does it for any length of time."""

import mutations
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FUZZ = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory):
    return mutations.artifacts_in(tmp_path_factory.mktemp("artifacts"))


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    return mutations.tables_in(tmp_path_factory.mktemp("tables"))


@settings(FUZZ, max_examples=300)
@given(data=st.data())
def test_any_artifact(artifacts, data):
    """Whatever was changed in an artifact with a valid checksum, the HDF5 library sees what the survey saw, or the file is refused."""
    strategy, read = artifacts
    read(data.draw(strategy))


@settings(FUZZ, max_examples=600)
@given(data=st.data())
def test_any_table(tables, data):
    """Whatever was changed in a table or its zip file, it is read with valid values or refused with an InputError of one line."""
    strategy, read = tables
    read(data.draw(strategy))
