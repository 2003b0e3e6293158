"""Training of segmentation networks with `cwmi_jax` losses; `python -m train --help` shows what there is."""
