"""Teachers, student and baselines on the same photos: accuracy, speed and size."""
