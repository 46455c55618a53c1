"""Which labelled photos are worth a person's minute, most worth first."""

from surfaces.queues.candidate import Candidate, candidate_of, iterate_candidates, read_candidates
from surfaces.queues.orders import QUEUES, Queue, order_photos

__all__ = ["QUEUES", "Candidate", "Queue", "candidate_of", "iterate_candidates", "order_photos", "read_candidates"]
