"""What a training's history and health warn of, in sentences: what was seen, since when, and what usually causes or cures it."""

from collections.abc import Iterator

import numpy as np

from pipeline.nets.trained import Health, History

# A step that moves the weights by a tenth of their size: ten of them, and nothing is left of what was learned. Healthy steps move them by
# a thousandth or so; the default net's largest mean of an epoch is 0.01 on Kaggle's faces, and 0.03 in epochs of six steps.
EXPLODING = 1e-1
# At this pace it takes a million steps to change the weights by their size; the default base net's training has 6,500.
STANDING = 1e-6
# Relative improvement of the RMSE that is more than chance from epoch to epoch.
LEARNED = 0.01
# A gradient that falls short of the last layer's by so much has vanished on its way to the image.
VANISHING = 1e-2
# Rise of the validation RMSE above its best that is told: as a share of it, where a few faces with gross errors can make out 6 % (a default
# specialist of the eye centres, from epoch 6 to 20), and in multiples of how it scatters.
OVERFIT = 0.1
SCATTER = 4
# Epochs that a judgement on the way of an RMSE takes.
FEWEST = 4


def warnings(history: History, health: Health) -> list[str]:
    """One sentence for each thing that is wrong with a training, none for a healthy one."""
    return [*_dead(health), *_exploding(health), *_standing(history, health), *_vanishing(health), *_overfitting(history)]


def _dead(health: Health) -> Iterator[str]:
    """Dead at the end; NaN, without a ReLU, is no 1."""
    for place in np.flatnonzero(health.dead[-1:].sum(axis=0) == 1):
        since = len(health.dead) - np.argmin(health.dead[::-1, place] == 1) if (health.dead[:, place] < 1).any() else 0
        yield (
            f"{health.layers[place]} is dead since epoch {since + 1}: each of its ReLUs gives 0 for every face."
            " Usually a learning rate that is too high; lower it or choose a net with batch norm."
        )


def _exploding(health: Health) -> Iterator[str]:
    epochs, places = np.nonzero(health.ratio > EXPLODING)
    if len(epochs):
        largest = np.nanmax(health.ratio)
        yield (
            f"the steps of {_names(health, places)} are too long since epoch {epochs[0] + 1}: one moves the weights by up to {largest:.2g}"
            f" of their size, and ten steps of {EXPLODING:g} leave nothing of them. Lower the learning rate, or give clip-norm a value."
        )


def _standing(history: History, health: Health) -> Iterator[str]:
    still = np.flatnonzero((health.ratio < STANDING).all(axis=0)) if len(health.ratio) else []
    if len(still):
        yield (
            f"no learning in {_names(health, still)}: a step moves the weights by less than {STANDING:g} of their size in every epoch."
            " Usually a learning rate that is too low, or no gradient that gets there."
        )
    rmse = np.array([history.training_rmse, history.validation_rmse])
    if rmse.shape[1] >= FEWEST and (rmse[:, 1:].min(axis=1) > (1 - LEARNED) * rmse[:, 0]).all():
        yield (
            f"nothing is learned: after epoch 1 neither RMSE, training {rmse[0, 0]:.2f} px and validation {rmse[1, 0]:.2f} px, falls by"
            f" {LEARNED:.0%}. Usually a learning rate that is far too low or too high, or labels that do not belong to their faces."
        )


def _vanishing(health: Health) -> Iterator[str]:
    """By both the gradient and the step: a small kernel with large weights may have a small ratio, a large one a small gradient."""
    if len(health.layers) < 2 or not len(health.ratio):
        return
    with np.errstate(divide="ignore", invalid="ignore"):
        share = [np.median(values[:, 0] / values[:, -1]) for values in (health.gradient, health.ratio)]
    if max(share) < VANISHING:
        yield (
            f"the gradient vanishes on its way to the image: in {health.layers[0]} it is {share[0]:.1g} of that in {health.layers[-1]}."
            " Usually first weights that are too small; choose the initialisation he, or a net with batch norm and skip connections."
        )


def _overfitting(history: History) -> Iterator[str]:
    """Of medians of three epochs, so that no lucky one counts as the best."""
    validation, training = history.validation_rmse, history.training_rmse
    if len(validation) < FEWEST:
        return
    smooth, smooth_training = (np.median([rmse[:-2], rmse[1:-1], rmse[2:]], axis=0) for rmse in (validation, training))
    best, turn = int(np.argmin(validation)), int(np.argmin(smooth))
    # Second differences of values that scatter independently have 6 times their variance; 0.67 deviations are the median size.
    scatter = np.median(np.abs(np.diff(validation, 2))) / (0.67 * np.sqrt(6))
    limit, worse = max(OVERFIT * smooth[turn], SCATTER * scatter), smooth[-1] - smooth[turn]
    if worse > limit and smooth_training[-1] < (1 - LEARNED) * smooth_training[turn]:
        yield (
            f"overfits since epoch {best + 1}: there the validation RMSE was best, {validation[best]:.2f} px, and is"
            f" {smooth[-1] / validation[best] - 1:.0%} worse at the end, while that of the training fell."
            " More faces or copies, dropout or weight-decay help, or a patience."
        )


def _names(health: Health, places: np.ndarray) -> str:
    chosen = sorted({*places.tolist()})
    return "all layers" if len(chosen) == len(health.layers) else ", ".join(health.layers[chosen].tolist())
