"""Experiments as TOML files describe them."""

import inspect
import re
import textwrap
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.experiments import plans


def read(tmp_path, text):
    path = tmp_path / "experiment.toml"
    path.write_text(textwrap.dedent(text))
    return plans.read(path)


def test_examples_of_the_documentation(tmp_path):
    """The two example files in the docstring of the module can be read."""
    grid, search = re.split(r"A search has.*\n", inspect.getdoc(plans).split("seeds.\n", 1)[1])
    both = read(tmp_path, grid)
    assert list(both.variations) == ["Adam, learning rate 0.001", "Adam, learning rate 0.003"]
    searched = read(tmp_path, 'name = "rates"\n' + textwrap.dedent(search))
    assert searched.trials == 30
    assert searched.space["TrainBase"]["optimizer"] == ["adam", "adamw"]


def test_every_variation_with_every_point_of_the_grid(tmp_path):
    """Labels stand for their parameters and those of the grid are named; settings and epochs apply to all, seeds to the training."""
    plan = read(
        tmp_path,
        """
        name = "both"
        epochs = 5
        faces = 300
        seeds = [3, 1]
        [settings]
        Augment.copies = 2
        [grid]
        TrainBase.batch = [32, 64]
        TrainBase.l2 = [0.0, 1e-4]
        [[variations]]
        label = "first"
        TrainBase.optimizer = "adam"
        [[variations]]
        TrainBase.optimizer = "sgd"
        """,
    )
    assert list(plan.variations) == [
        *(f"first, batch {batch}, l2 {l2}" for batch in (32, 64) for l2 in ("0", "0.0001")),
        *(f"optimizer sgd, batch {batch}, l2 {l2}" for batch in (32, 64) for l2 in ("0", "0.0001")),
    ]
    assert plan.overrides(plan.variations["optimizer sgd, batch 64, l2 0"], 3) == {
        "TrainBase": {"epochs": 5, "optimizer": "sgd", "batch": 64, "l2": 0.0, "seed": 3},
        "Load": {"faces": 300},
        "Augment": {"copies": 2},
    }


def test_what_is_the_same_everywhere_is_no_name(tmp_path):
    """Only parameters that differ are named, with their stage if two stages have them; a single variation is called 'as set'."""
    same = read(
        tmp_path,
        'name = "a"\n[[variations]]\nTrainBase.l1 = 0.1\nTrainBase.l2 = 0.1\n[[variations]]\nTrainBase.l1 = 0.2\nTrainBase.l2 = 0.1',
    )
    assert list(same.variations) == ["l1 0.1", "l1 0.2"]
    two = read(tmp_path, 'name = "a"\nstage = "Predict"\n[grid]\nTrainBase.batch = [8, 9]\nTrainSpecialist.batch = [7]')
    assert list(two.variations) == ["batch 8", "batch 9"]
    both = read(tmp_path, 'name = "a"\nstage = "Predict"\n[grid]\nTrainBase.batch = [8, 9]\nTrainSpecialist.batch = [7, 6]')
    assert "TrainBase batch 8, TrainSpecialist batch 7" in both.variations
    assert list(read(tmp_path, 'name = "a"').variations) == ["as set"]


def test_budget_and_seed_go_to_the_compared_trainings(tmp_path):
    """For a specialist they apply to the specialist, for Predict to all nets."""
    specialist = read(tmp_path, 'name = "a"\nstage = "TrainSpecialist:mouth"\nepochs = 4')
    assert specialist.overrides({}, 7) == {"TrainSpecialist": {"epochs": 4, "seed": 7}}
    assert read(tmp_path, 'name = "a"\nstage = "Predict"').overrides({}, 7) == {"TrainBase": {"seed": 7}, "TrainSpecialist": {"seed": 7}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no name"),
        ("name = \nfaces = 3", "is not valid TOML.*line 1"),
        ('name = "Two words"', "name must be.*'Two words'"),
        ('name = "a"\nepoch = 3', "epoch is unknown; did you mean epochs"),
        ('name = "a"\nepochs = 0', "epochs must be a whole number"),
        ('name = "a"\nepochs = true', "epochs must be a whole number"),
        ('name = "a"\nseeds = [1, 1]', "seeds must be a list of different"),
        ('name = "a"\nseeds = []', "seeds must be"),
        ('name = "a"\nstage = "Load"', "stage must be TrainBase"),
        ('name = "a"\n[grid]\nTrainBase.batch = 8', "TrainBase.batch must be a list"),
        ('name = "a"\n[grid]\nbatch = [8]', "batch = .* does not name a stage"),
        ('name = "a"\n[[variations]]\nlabel = 3', "label must be text"),
        ('name = "a"\n[[variations]]\nlabel = "x"\n[[variations]]\nlabel = "x"', "Several variations are called 'x'"),
        (f'name = "a"\n[grid]\nTrainBase.batch = {list(range(1, 1002))}', "1,001 trainings"),
        ('name = "a"\nsearch = "random"\n', "search must be tpe"),
        ('name = "a"\nsearch = "tpe"\n', r"needs a \[space\]"),
        ('name = "a"\nsearch = "tpe"\n[grid]\nTrainBase.batch = [8]', "instead of a grid"),
        ('name = "a"\nsearch = "tpe"\nseeds = [0, 1]\n[space]\nTrainBase.batch = [8]', "exactly one seed"),
        ('name = "a"\nsearch = "tpe"\n[space]\nTrainBase.l2 = {low = 1.0, high = 0.5}', "TrainBase.l2 must be a list of values or"),
        ('name = "a"\nsearch = "tpe"\n[space]\nTrainBase.l2 = {low = 0.1, high = 0.5, lag = true}', "TrainBase.l2 must be"),
        ('name = "a"\nsearch = "tpe"\n[space]\nTrainBase.l2 = {low = 0, high = 0.5, log = true}', "TrainBase.l2 must be.*low above 0"),
        ('name = "a"\nsearch = "tpe"\n[space]\nTrainBase.l2 = {low = 0.1, high = 0.5, log = "yes"}', "TrainBase.l2 must be"),
        ('name = "a"\nsearch = "tpe"\n[space]\nTrainBase.l2 = {low = 0.1, high = inf}', "TrainBase.l2 must be"),
        ('name = "a"\nsearch = "tpe"\n[space]\nTrainBase.batch = {low = 1, high = 8, step = 0}', "TrainBase.batch must be"),
        ('name = "a"\nsearch = "tpe"\n[space]\nTrainBase.batch = {low = 1, high = 8, step = 0.5}', "a whole number between whole numbers"),
        ('name = "a"\n[grid]\nTrainBase.seed = [1, 2]', "grid: TrainBase.seed is set by seeds"),
        ('name = "a"\nstage = "Predict"\n[settings]\nTrainSpecialist.seed = 1', "settings: TrainSpecialist.seed is set by seeds"),
        ('name = "a"\n[[variations]]\nTrainBase.seed = 1', "variations: TrainBase.seed is set by seeds"),
    ],
)
def test_unusable_files(tmp_path, text, message):
    """The message starts with the file and says what is wrong."""
    with pytest.raises(InputError, match=rf"experiment\.toml.*{message}"):
        read(tmp_path, text)


def test_a_file_that_is_not_there(tmp_path):
    """Neither a missing file nor a missing argument ends in a traceback."""
    with pytest.raises(InputError, match=r"nix\.toml does not exist; give --file"):
        plans.read(tmp_path / "nix.toml")
    with pytest.raises(InputError, match="cannot be read"):
        plans.read(tmp_path)


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parent.parent / "configs" / "experiments").glob("*.toml")), ids=lambda path: path.stem
)
def test_files_of_the_project(path):
    """Each file can be read, has its own name in it, and describes several trainings with existing parameters in their ranges."""
    from pipeline import Trial

    plan = plans.read(path)
    assert plan.name == path.stem
    assert plan.question
    assert len(plan.variations) > 1 or plan.space
    for own in plan.variations.values():
        assert Trial(stage=plan.stage, overrides=plan.overrides(own, plan.seeds[0])).compared.families()
