"""Warnings about a training, from artificial histories and healths: each fault separately, and none for a healthy training."""

import numpy as np
import pytest

from pipeline.nets import diagnosis
from pipeline.nets.trained import Health, History

EPOCHS = 12
SOUND = {"weight": 0.05, "update": 5e-5, "ratio": 1e-3, "gradient": 1.0, "activation": 0.4, "spread": 0.5, "dead": [0.0, 0.1, np.nan]}
FALLING = 5 * np.exp(-np.arange(EPOCHS) / 4) + 1


def history(training=FALLING, validation=FALLING):
    """12 epochs with RMSEs that fall from 6 to 1.3 px, unless others are given."""
    return History.of([(number + 1, *values, 1e-3) for number, values in enumerate(zip(training, validation, strict=True))])


def health(**columns):
    """12 epochs of a first, a middle and a last layer without faults. columns: other values, (12, 3) or broadcast to it."""
    columns = {**SOUND, **columns}
    rows = np.stack([np.broadcast_to(np.asarray(values, np.float32), (EPOCHS, 3)) for values in columns.values()], axis=1)
    return Health.of(["first", "middle", "last"], list(rows))


def only(warnings):
    (warning,) = warnings
    return warning


def at(value, other, *, epochs, layer):
    """An array (12, 3) of `other`, except for `value` in these epochs, counted from 1, of a layer."""
    values = np.full((EPOCHS, 3), other)
    values[np.array(epochs) - 1, layer] = value
    return values


def test_a_healthy_training_gives_no_warning():
    """Neither does a training of a single epoch, or one whose RMSE fluctuates a little at its end."""
    assert diagnosis.warnings(history(), health()) == []
    assert diagnosis.warnings(history([3.0], [3.0]), Health.of(["first", "middle", "last"], health().rows()[:1])) == []
    wavy = FALLING + np.random.default_rng(0).normal(0, 0.05, EPOCHS)
    assert diagnosis.warnings(history(validation=wavy), health()) == []


def test_findings_are_the_warnings_by_check():
    """A check that finds nothing has an empty list, and together they say what the warnings say."""
    dead, long = at(1.0, 0.1, epochs=[12], layer=1), at(0.2, 1e-3, epochs=[3], layer=0)
    found = diagnosis.findings(history(), health(dead=dead, ratio=long))
    assert {name: len(sentences) for name, sentences in found.items()} == {**dict.fromkeys(diagnosis.CHECKS, 0), "units": 1, "steps": 1}
    assert [*found["units"], *found["steps"]] == diagnosis.warnings(history(), health(dead=dead, ratio=long))


def test_the_usual_step_follows_the_learning_rate():
    """The limits are proportional to the mean rate of the epoch: at the end of a cosine schedule they are far lower than at its peak."""
    low, high = diagnosis.usual_steps(np.array([1e-3, 3e-3, 3e-3, 1e-3, 1e-6]))
    np.testing.assert_allclose(high, diagnosis.USUAL[1] * np.array([1 / 3, 2 / 3, 1, 2 / 3, 1 / 6]), rtol=1e-2)
    np.testing.assert_allclose(low / high, diagnosis.USUAL[0] / diagnosis.USUAL[1])
    for constant in ([1e-3] * 4, [1e-3], [0.0, 0.0]):
        assert (diagnosis.usual_steps(np.array(constant)).T == diagnosis.USUAL).all()
    assert diagnosis.usual_steps(np.array([])).shape == (2, 0)


@pytest.mark.parametrize(("epochs", "since"), [(range(5, 13), 5), (range(1, 13), 1), ([2, 3, 9, 10, 11, 12], 9)])
def test_a_dead_layer_is_named_with_the_epoch_since_when(epochs, since):
    """The warning names the first epoch from which it stayed dead."""
    dead = at(1.0, 0.1, epochs=list(epochs), layer=1)
    assert only(diagnosis.warnings(history(), health(dead=dead))).startswith(f"middle has been dead since epoch {since}: ")


def test_a_layer_that_came_back_or_is_nearly_dead_is_not_dead():
    """Neither if it was dead for a while nor if 99 of 100 channels are dead."""
    for dead in (at(1.0, 0.1, epochs=[3, 4], layer=1), at(0.99, 0.1, epochs=range(1, 13), layer=1)):
        assert diagnosis.warnings(history(), health(dead=dead)) == []


def test_too_large_updates_are_named_with_their_layers_and_first_epoch():
    """Above a tenth of the weights; a slightly smaller update gives no warning."""
    ratio = np.maximum(at(0.4, 1e-3, epochs=[3], layer=0), at(0.2, 1e-3, epochs=[7, 8], layer=2))
    warning = only(diagnosis.warnings(history(), health(ratio=ratio)))
    assert warning.startswith("updates in first, last have been too large since epoch 3: a single step changes the weights by up to 40%, ")
    assert only(diagnosis.warnings(history(), health(ratio=0.2))).startswith("updates in all layers have been too large since epoch 1: ")
    assert diagnosis.warnings(history(), health(ratio=0.099)) == []


def test_a_layer_that_never_changes_does_not_learn():
    """Small updates at the end of a schedule are not a fault."""
    assert only(diagnosis.warnings(history(), health(ratio=[1e-3, 1e-7, 1e-3]))).startswith("middle did not learn: ")
    assert diagnosis.warnings(history(), health(ratio=at(1e-8, 1e-3, epochs=[11, 12], layer=2))) == []


def test_an_rmse_that_never_falls_is_told():
    """Neither on the training nor on the validation faces. There is no warning if the training RMSE falls, or after only two epochs."""
    flat = 3 + np.random.default_rng(0).uniform(0, 0.2, EPOCHS) - 0.02
    flat[0] = 3
    assert only(diagnosis.warnings(history(flat, flat), health())).startswith(
        "nothing was learned: after epoch 1 neither the training RMSE (3.00 px) "
    )
    assert diagnosis.warnings(history(FALLING, flat), health()) == []
    assert diagnosis.warnings(history([3.0, 3.0], [3.0, 3.0]), health()) == []


def test_a_gradient_that_vanishes_is_told_of_first_and_last_layer():
    """Both gradient and update of the first layer are below a hundredth of the last layer's; with Adam the update compensates."""
    fades, slows = [1e-5, 1e-2, 1.0], [5e-6, 1e-4, 1e-2]
    warning = only(diagnosis.warnings(history(), health(gradient=fades, ratio=slows)))
    assert warning.startswith("the gradient vanishes on its way back to the image: in first it is 1e-05 times that in last.")
    assert diagnosis.warnings(history(), health(gradient=fades)) == []
    assert diagnosis.warnings(history(), health(ratio=slows)) == []


def test_overfitting_is_told_with_the_best_epoch_and_how_much_worse():
    """The RMSE is best in epoch 5 and more than a fifth worse at the end, while the training RMSE falls."""
    validation = np.concatenate([FALLING[:5], FALLING[4] * np.linspace(1.05, 1.25, 7)])
    warning = only(diagnosis.warnings(history(validation=validation), health()))
    assert warning.startswith(
        f"it has overfitted since epoch 5: the validation RMSE was best there, {FALLING[4]:.2f} px, and is 22% worse "
    )


def test_noise_is_not_overfitting():
    """A lucky best epoch among fluctuations of 0.1 px, or a validation RMSE that rises together with the training RMSE."""
    rng = np.random.default_rng(1)
    for _ in range(50):
        assert list(diagnosis._overfitting(history(validation=3 + rng.normal(0, 0.1, EPOCHS)))) == []
    rising = np.concatenate([FALLING[:5], FALLING[4] * np.linspace(1.05, 1.25, 7)])
    assert diagnosis.warnings(history(rising, rising), health()) == []
