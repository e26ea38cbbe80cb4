"""The choices of parameters that are given by name, and which sizes work. Kept free of Keras, so that tasks can check them at once."""

# Own sets: smallest number of samples in an epoch. With as many epochs as for Kaggle's 5,200 faces, the training of such a set has two
# fifths of their steps. The trainings draw the versions of fewer samples, so that each sample has several in an epoch.
SMALL_SET = 2048

# Each net and the settings that its structure has.
SETTINGS = {
    "compact": ("filters", "kernel", "activation", "normalisation"),
    "kfkd": ("filters", "kernel", "pool", "activation", "hidden", "normalisation"),
    "resnet50": (),
    "vgg16": (),
}
NETWORKS = tuple(SETTINGS)
PRETRAINED = ("resnet50", "vgg16")  # nets with weights trained on ImageNet
ANY_SIDE = ("compact", *PRETRAINED)  # nets whose weights fit images of any size, so that specialists can see a window
WITH_HEAT_MAPS = ("compact",)  # nets whose predictions are the expected positions of heat maps
ACTIVATIONS = ("relu", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "tanh", "sigmoid", "linear")
NORMALISATIONS = ("standard", "unit", "none")
INITIALISATIONS = ("net", "he", "glorot", "uniform")
OPTIMIZERS = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adadelta", "adam", "adamw", "muon")
SCHEDULES = ("constant", "linear", "inverse", "halving", "cosine")
VIEWS = ("auto", "window", "face", "keypoint")
STARTS = ("base", "scratch")
HEADS = ("kept", "new")

# Kernel sizes of the three convolutions of kfkd, as published.
KFKD_KERNELS = (3, 2, 2)


def size_fault(network: str, kernel: int, pool: int, side: int) -> tuple[str, int, str] | None:
    """Why a net cannot be built with these sizes for images of side x side pixels: kernel or pool, the size, and the reason.

    None if it can be built.
    """
    if network == "compact" and kernel % 2 == 0 and kernel:
        return "kernel", kernel, "compact needs an odd size; an even one shifts the feature maps by half a pixel"
    for number, published in enumerate(KFKD_KERNELS if network == "kfkd" else (), start=1):
        size = kernel or published
        if side < size:
            setting = ("kernel", kernel) if kernel else ("pool", pool)
            return *setting, f"too large for kfkd, because its layer conv{number} gets only {side} x {side} pixels"
        side += 1 - size
        if side < pool:
            return "pool", pool, f"too large for kfkd, because its layer pool{number} gets only {side} x {side} pixels"
        side //= pool
    return None
