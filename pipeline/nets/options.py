"""What can be chosen by name. Apart from the code that needs Keras, so that the tasks can list it without the seconds of that import."""

NETWORKS = ("compact", "kfkd")
ANY_SIDE = ("compact",)  # nets whose weights fit images of any side: they can look through a window
INITIALISATIONS = ("net", "he", "glorot", "uniform")
OPTIMIZERS = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adadelta", "adam", "adamw")
SCHEDULES = ("constant", "linear", "inverse", "halving", "cosine")
VIEWS = ("window", "face")
HEADS = ("kept", "new")
