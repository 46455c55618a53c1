"""Active learning: which labelled photos to review first."""

from labelstudio.active_learning.orders import QUEUES, order_photos
from labelstudio.active_learning.signals import Candidate, measure_candidate, read_candidates

__all__ = ["QUEUES", "Candidate", "measure_candidate", "order_photos", "read_candidates"]
