"""The names of version 0.1."""

from __future__ import annotations

import numpy as np

from models.teachers.base import InstancePrediction, Prediction, SemanticPrediction
from models.teachers.teacher import Belief, Opinion, Proposal
from surfaces.classes import WALL


def test_records_of_version_0_1_are_predictions() -> None:
    box, mask = np.array([0, 0, 2, 2], np.float32), np.ones((2, 2), bool)
    proposal = Proposal(WALL, "wall", 0.5, box, mask, qualities={"stability": 0.75})
    belief = Belief(np.full((4, 1, 1), 0.25, np.float32), np.zeros((1, 1), np.float32))
    opinion = Opinion(proposals=(proposal,), belief=belief, agreement={"flips": 1.0})
    assert isinstance(opinion, Prediction)
    assert isinstance(proposal, InstancePrediction)
    assert isinstance(belief, SemanticPrediction)
    assert opinion.instances == opinion.proposals == (proposal,)
    assert opinion.semantic is opinion.belief is belief
    assert opinion.agreement == {"flips": 1.0}
    assert proposal.quality_scores == proposal.qualities == {"stability": 0.75}
    assert (Opinion().instances, Opinion().semantic, Opinion().agreement) == ((), None, {})
    assert Proposal(None, "desk", 0.5, box, mask).quality_scores == {}
