"""Active learning: which labelled photos to review first."""

from labelstudio.active_learning.orders import QUEUES, Queue, order_photos
from labelstudio.active_learning.signals import Candidate, iterate_candidates, measure_candidate, read_candidates

__all__ = ["QUEUES", "Candidate", "Queue", "iterate_candidates", "measure_candidate", "order_photos", "read_candidates"]
