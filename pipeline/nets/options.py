"""What can be chosen by name. Apart from the code that needs Keras, so that the tasks can list it without the seconds of that import."""

NETWORKS = ("compact", "kfkd")
INITIALISATIONS = ("net", "he", "glorot", "uniform")
OPTIMIZERS = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adadelta", "adam", "adamw")
SCHEDULES = ("constant", "linear", "inverse", "halving", "cosine")
VIEWS = ("window", "face")
HEADS = ("kept", "new")
