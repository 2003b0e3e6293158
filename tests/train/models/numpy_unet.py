"""The networks once more, in NumPy and float64, from the equations: convolutions as sums over shifted windows."""

import jax
import numpy as np


def random_variables(network, images, seed=0):
    """Variables of the network with every value drawn, so that no scale is 1 and no shift is 0; nothing is compiled."""
    random = np.random.default_rng(seed)
    shapes = jax.eval_shape(lambda: network.init(jax.random.key(0), images, train=False))

    def draw(path, leaf):
        values = random.normal(size=leaf.shape)
        name = path[-1].key
        if name == "kernel":
            values *= 2 / np.sqrt(np.prod(leaf.shape[:-1]))
        elif name in ("scale", "var"):
            values = random.uniform(0.5, 1.5, leaf.shape)
        else:
            values *= 0.3
        return values.astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, shapes)


class NumpyUNet:
    """Computes the logits of variables as `random_variables` makes them; sides must be multiples of `2**depth`."""

    def __init__(self, variables, *, depth, attention, groups=None, train=False):
        self.parameters = variables["params"]
        self.statistics = variables.get("batch_stats")
        self.depth, self.attention, self.groups, self.train = depth, attention, groups, train

    def __call__(self, images):
        features = np.asarray(images, np.float64)
        axes = range(1, features.ndim - 1)
        skips = []
        for stage in range(self.depth):
            skips.append(self._block(features, f"encoder_{stage}"))
            features = skips[-1]
            for axis in axes:
                even, odd = (np.take(features, range(i, features.shape[axis], 2), axis) for i in (0, 1))
                features = np.maximum(even, odd)
        features = self._block(features, "bottleneck")
        for stage in reversed(range(self.depth)):
            for axis in axes:
                features = np.take(features, np.arange(2 * features.shape[axis]) // 2, axis)
            stage_name = f"decoder_{stage}"
            features = np.maximum(self._normalised(features, stage_name, "upsampled"), 0)
            skip = skips[stage]
            if self.attention:
                skip = self._gate(skip, features, stage_name, "attention_gate")
            features = self._block(np.concatenate([skip, features], -1), stage_name, "merged")
        return convolve(features, self.parameters["head"]["convolution"])

    def _block(self, features, *path):
        for name in ("first", "second"):
            features = np.maximum(self._normalised(features, *path, name), 0)
        return features

    def _gate(self, skip, gate, *path):
        both = self._normalised(gate, *path, "gate") + self._normalised(skip, *path, "skip")
        return skip / (1 + np.exp(-self._normalised(np.maximum(both, 0), *path, "attention")))

    def _normalised(self, features, *path):
        parameters, statistics = self.parameters, self.statistics
        for name in path:
            parameters = parameters[name]
            statistics = statistics and statistics[name]
        features = convolve(features, parameters["convolve"]["convolution"])
        channels = features.shape[-1]
        if self.groups:
            groups = np.gcd(self.groups, channels)
            parts = features.reshape(len(features), -1, groups, channels // groups)
            deviations = parts - parts.mean((1, 3), keepdims=True)
            variances = (deviations**2).mean((1, 3), keepdims=True)
            features = (deviations / np.sqrt(variances + 1e-5)).reshape(features.shape)
        else:
            if self.train:
                axes = tuple(range(features.ndim - 1))
                mean, variance = features.mean(axes), features.var(axes)
            else:
                mean, variance = statistics["normalise"]["mean"], statistics["normalise"]["var"]
            features = (features - mean) / np.sqrt(variance + 1e-5)
        return features * parameters["normalise"]["scale"] + parameters["normalise"]["bias"]


def convolve(features, parameters):
    """Zero-padded convolution (cross-correlation) of `[B, *shape, C]`."""
    kernel = np.asarray(parameters["kernel"], np.float64)
    shape = features.shape[1:-1]
    margins = [(side // 2, side // 2) for side in kernel.shape[:-2]]
    padded = np.pad(features, [(0, 0), *margins, (0, 0)])
    total = np.zeros((*features.shape[:-1], kernel.shape[-1])) + parameters["bias"]
    for offset in np.ndindex(kernel.shape[:-2]):
        window = tuple(slice(start, start + side) for start, side in zip(offset, shape, strict=True))
        total += padded[:, *window] @ kernel[offset]
    return total
