"""Active learning: which labelled photos to review first."""

from labelstudio.active_learning.orders import QUEUES, Queue, order_photos
from labelstudio.active_learning.signals import Candidate, candidate_of, iterate_candidates, read_candidates

__all__ = ["QUEUES", "Candidate", "Queue", "candidate_of", "iterate_candidates", "order_photos", "read_candidates"]
