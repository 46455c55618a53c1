"""Which labelled photos are worth a person's minute, most worth first."""

from labelstudio.active_learning.candidate import Candidate, candidate_of, iterate_candidates, read_candidates
from labelstudio.active_learning.orders import QUEUES, Queue, order_photos

__all__ = ["QUEUES", "Candidate", "Queue", "candidate_of", "iterate_candidates", "order_photos", "read_candidates"]
