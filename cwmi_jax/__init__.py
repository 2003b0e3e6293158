"""Complex Wavelet Mutual Information loss for segmentation in JAX."""

from cwmi_jax import losses
from cwmi_jax.cwmi import cwmi_loss
from cwmi_jax.distances import wavelet_distance
from cwmi_jax.information import wavelet_conditional_log_det, wavelet_gain, wavelet_mutual_information
from cwmi_jax.pyramid import SteerablePyramid, reconstruct, steerable_pyramid

__all__ = [
    "SteerablePyramid",
    "cwmi_loss",
    "losses",
    "reconstruct",
    "steerable_pyramid",
    "wavelet_conditional_log_det",
    "wavelet_distance",
    "wavelet_gain",
    "wavelet_mutual_information",
]
