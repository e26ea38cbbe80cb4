"""Warnings about a training, from its history and health: what was observed, since when, and the usual cause or remedy."""

from collections.abc import Iterator

import numpy as np

from pipeline.nets.trained import Health, History

# Mean size of an optimizer step relative to the weights. Ten steps of this size replace everything that was learned. Healthy steps are
# about a thousandth; on Kaggle's faces the default net's largest mean of an epoch is 0.01, and 0.03 in epochs of only six steps.
EXPLODING = 1e-1
# Also relative to the weights. With steps of this size it takes a million of them to change the weights by their own size; the training
# of the default base net has 6,500 steps.
STANDING = 1e-6
# What is checked, in the order in which it is told.
CHECKS = ("units", "steps", "learning", "gradient", "overfitting")
# Usual lengths of a step at the highest learning rate of a training, as a share of the weights; longer ones are too long. The layers of the
# default net are between 0.002 and 0.015 on Kaggle's faces, and up to 0.05 in epochs of a few steps.
USUAL = (3e-3 * EXPLODING, EXPLODING)
# Relative improvement of an RMSE that is more than chance from epoch to epoch.
LEARNED = 0.01
# Ratio of the first layer's gradient to the last layer's below which the gradient counts as vanished.
VANISHING = 1e-2
# Rise of the validation RMSE above its best that is reported: as a share of the best, where a few faces with gross errors can account for
# 6 % (a default specialist for the eye centers, from epoch 6 to 20), and in multiples of the scatter between epochs.
OVERFIT = 0.1
SCATTER = 4
# Number of epochs that it takes to judge the course of an RMSE.
FEWEST = 4


def warnings(history: History, health: Health) -> list[str]:
    """One or two sentences for each problem of a training, none for a healthy one."""
    return [sentence for sentences in findings(history, health).values() for sentence in sentences]


def findings(history: History, health: Health) -> dict[str, list[str]]:
    """The sentences of `warnings` by the name of the check that they come from; a check that found nothing has an empty list."""
    found = (_dead(health), _exploding(health), _standing(history, health), _vanishing(health), _overfitting(history))
    return {name: list(sentences) for name, sentences in zip(CHECKS, found, strict=True)}


def usual_steps(learning_rate: np.ndarray) -> np.ndarray:
    """The limits of the usual length of a step in each epoch, as a share of the weights: (2, e).

    The length of a step is proportional to the learning rate, so the limits are `USUAL` times the mean learning rate of the epoch, as a
    share of the highest one.

    learning_rate: (e,) at the end of each epoch.
    """
    # The rate at the start of the first epoch is not recorded.
    mean = (learning_rate + np.concatenate([learning_rate[:1], learning_rate[:-1]])) / 2
    highest = mean.max(initial=0.0)
    share = mean / highest if highest > 0 else np.ones(len(mean))
    return np.outer(USUAL, share)


def _dead(health: Health) -> Iterator[str]:
    """Layers that are dead at the end. The share of a layer without ReLU is NaN, which never equals 1."""
    for place in np.flatnonzero(health.dead[-1:].sum(axis=0) == 1):
        since = len(health.dead) - np.argmin(health.dead[::-1, place] == 1) if (health.dead[:, place] < 1).any() else 0
        yield (
            f"{health.layers[place]} has been dead since epoch {since + 1}: all its ReLUs output 0 for every sample."
            " The usual cause is too high a learning rate; lower it or choose a net with batch normalisation."
        )


def _exploding(health: Health) -> Iterator[str]:
    epochs, places = np.nonzero(health.ratio > EXPLODING)
    if len(epochs):
        largest = np.nanmax(health.ratio)
        yield (
            f"updates in {_names(health, places)} have been too large since epoch {epochs[0] + 1}: a single step changes the weights by up"
            f" to {largest:.0%}, and ten steps of {EXPLODING:.0%} replace everything that was learned."
            " Lower the learning rate or set clip-norm."
        )


def _standing(history: History, health: Health) -> Iterator[str]:
    still = np.flatnonzero((health.ratio < STANDING).all(axis=0)) if len(health.ratio) else np.zeros(0, np.intp)
    if len(still):
        yield (
            f"{_names(health, still)} did not learn: in every epoch, a step changes the weights by less than {STANDING:g} of their size."
            " The usual cause is too low a learning rate, or a gradient that does not get there."
        )
    rmse = np.array([history.training_rmse, history.validation_rmse])
    if rmse.shape[1] >= FEWEST and (rmse[:, 1:].min(axis=1) > (1 - LEARNED) * rmse[:, 0]).all():
        yield (
            f"nothing was learned: after epoch 1 neither the training RMSE ({rmse[0, 0]:.2f} px) nor the validation RMSE"
            f" ({rmse[1, 0]:.2f} px) fell by {LEARNED:.0%}."
            " The usual cause is a learning rate that is far too low or too high, or labels that do not belong to their samples."
        )


def _vanishing(health: Health) -> Iterator[str]:
    """Judges by both the gradient and the step: a small kernel with large weights may have small steps, a large one a small gradient."""
    if len(health.layers) < 2 or not len(health.ratio):
        return
    with np.errstate(divide="ignore", invalid="ignore"):
        share = [np.median(values[:, 0] / values[:, -1]) for values in (health.gradient, health.ratio)]
    if max(share) < VANISHING:
        yield (
            f"the gradient vanishes on its way back to the image: in {health.layers[0]} it is {share[0]:.1g} times that in"
            f" {health.layers[-1]}. The usual cause is initial weights that are too small;"
            " choose the initialisation he, or a net with batch normalisation and skip connections."
        )


def _overfitting(history: History) -> Iterator[str]:
    """Compares medians of three epochs, so that a single lucky epoch does not count as the best."""
    validation, training = history.validation_rmse, history.training_rmse
    if len(validation) < FEWEST:
        return
    smooth, smooth_training = (np.median([rmse[:-2], rmse[1:-1], rmse[2:]], axis=0) for rmse in (validation, training))
    best, turn = int(np.argmin(validation)), int(np.argmin(smooth))
    # Second differences of independent values have 6 times the variance of the values; the median absolute value of a normal distribution
    # is 0.67 standard deviations.
    scatter = np.median(np.abs(np.diff(validation, 2))) / (0.67 * np.sqrt(6))
    limit, worse = max(OVERFIT * smooth[turn], SCATTER * scatter), smooth[-1] - smooth[turn]
    if worse > limit and smooth_training[-1] < (1 - LEARNED) * smooth_training[turn]:
        yield (
            f"it has overfitted since epoch {best + 1}: the validation RMSE was best there, {validation[best]:.2f} px, and is"
            f" {smooth[-1] / validation[best] - 1:.0%} worse at the end, while the training RMSE fell."
            " More samples, more augmented versions, dropout, weight-decay or patience can help."
        )


def _names(health: Health, places: np.ndarray) -> str:
    chosen = sorted({*places.tolist()})
    return "all layers" if len(chosen) == len(health.layers) else ", ".join(health.layers[chosen].tolist())
