"""What can be chosen by name. Apart from the code that needs Keras, so that the tasks can list it without the seconds of that import."""

# Each net with the settings of its structure that it has.
SETTINGS = {
    "compact": ("filters", "kernel", "activation", "normalisation"),
    "kfkd": ("filters", "kernel", "pool", "activation", "hidden", "normalisation"),
    "resnet50": (),
    "vgg16": (),
}
NETWORKS = tuple(SETTINGS)
PRETRAINED = ("resnet50", "vgg16")  # on ImageNet
ANY_SIDE = ("compact", *PRETRAINED)  # nets whose weights fit images of any side: they can look through a window
ACTIVATIONS = ("relu", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "tanh", "sigmoid", "linear")
NORMALISATIONS = ("standard", "unit", "none")
INITIALISATIONS = ("net", "he", "glorot", "uniform")
OPTIMIZERS = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adadelta", "adam", "adamw")
SCHEDULES = ("constant", "linear", "inverse", "halving", "cosine")
VIEWS = ("window", "face")
STARTS = ("base", "scratch")
HEADS = ("kept", "new")
