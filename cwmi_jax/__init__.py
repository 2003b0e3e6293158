"""Complex Wavelet Mutual Information loss for segmentation in JAX."""

from cwmi_jax.cwmi import cwmi_loss
from cwmi_jax.information import wavelet_conditional_log_det, wavelet_mutual_information

__all__ = ["cwmi_loss", "wavelet_conditional_log_det", "wavelet_mutual_information"]
