"""What readers of answers share: their settings, and how an answer that is not what was expected is told."""

from __future__ import annotations

from dataclasses import dataclass

from autolabel.crawling.lead import Lead
from autolabel.crawling.licences import GROUPS
from surfaces.errors import SurfacesError

OPENVERSE = "https://api.openverse.org"
WIKIMEDIA = "https://commons.wikimedia.org"


class ReadError(SurfacesError):
    """What was read is not what was expected there."""

    exit_code = 21


class Leads(list[Lead]):
    """What an answer leads to.

    Attributes:
        is_cut: whether there was more than is taken from one answer.
    """

    is_cut = False


class RefusedError(ReadError):
    """A page asks that its photos be left alone."""


class BusyError(ReadError):
    """An API asks to be asked again later; its header `Retry-After` may say when."""


@dataclass(frozen=True)
class ReadSettings:
    """What is taken from answers.

    Attributes:
        licences: codes (see `licences`) of the photos that are taken from search APIs.
        follow: whether pages lead to the pages of the same host that they link to; these lead no further.
        ignore_opt_outs: take photos also from pages that say `noai` and the like; follow `nofollow` links.
        openverse: the API's address, without path.
        wikimedia: the same.
    """

    licences: frozenset[str] = GROUPS["any"]
    follow: bool = False
    ignore_opt_outs: bool = False
    openverse: str = OPENVERSE
    wikimedia: str = WIKIMEDIA
