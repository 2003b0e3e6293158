"""From the images of a data set to the batches of a step."""
