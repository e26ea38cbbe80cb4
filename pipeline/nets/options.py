"""The choices of parameters that are given by name. Kept free of Keras, so that the tasks can list them without its slow import."""

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
ACTIVATIONS = ("relu", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "tanh", "sigmoid", "linear")
NORMALISATIONS = ("standard", "unit", "none")
INITIALISATIONS = ("net", "he", "glorot", "uniform")
OPTIMIZERS = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adadelta", "adam", "adamw")
SCHEDULES = ("constant", "linear", "inverse", "halving", "cosine")
VIEWS = ("window", "face")
STARTS = ("base", "scratch")
HEADS = ("kept", "new")
