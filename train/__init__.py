"""Training of segmentation networks with `cwmi_jax` losses; `python -m train` runs the demo."""
