"""Batch norm whose training step is one operation of TensorFlow instead of a dozen."""

from typing import Any

import keras
from keras import layers, ops


class FusedBatchNormalization(layers.BatchNormalization):
    """Keras' batch norm of feature maps (B, H, W, C), which with TensorFlow takes a third of the time in training.

    TensorFlow's operation also does what the activation behind it would do on its own, and its moving variance is the unbiased one, with
    n - 1 instead of n values. For predictions, and on other backends, the layer is Keras' own. Files for other programs need layers that
    Keras knows, so nets that only predict do not have this one.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """The normed maps, see Keras' layer."""
        if not (training and self.trainable) or keras.backend.backend() != "tensorflow":
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        gamma, beta = (ops.convert_to_tensor(variable) for variable in (self.gamma, self.beta))
        normed, mean, variance = tf.compat.v1.nn.fused_batch_norm(inputs, gamma, beta, epsilon=self.epsilon, is_training=True)
        for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + value * (1 - self.momentum))
        return normed
