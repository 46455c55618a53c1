"""What `python -m autolabel crawl --status` tells: how far leads got, and why they ended."""

from __future__ import annotations

from collections import Counter

from autolabel.crawling.database import FILE_LANES, CrawlDatabase
from autolabel.crawling.records import State

_HOSTS = 10


def status_lines(ledger: CrawlDatabase) -> list[str]:
    """A table, a line a kind of lead, state and reason, and the hosts that most leads wait for."""
    counts = ledger.counts()
    rows = sorted(counts.items(), key=lambda row: (row[0][0], row[0][1], -row[1]))
    lines = [f"{'kind':<10} {'state':<8} {'leads':>9}  reason"]
    lines += [f"{kind:<10} {state:<8} {count:>9}  {reason}".rstrip() for (kind, state, reason), count in rows]
    by_state: Counter[State] = Counter()
    for (_, state, _), count in counts.items():
        by_state[state] += count
    lines.append(f"{'all':<10} {'':<8} {by_state.total():>9}  " + _listed(by_state))
    waiting: Counter[str] = Counter()
    for host, count in ledger.waiting_counts().items():
        waiting["files" if host in FILE_LANES else host] += count
    if waiting:
        lines.append(f"waiting    {waiting.total()} leads for {len(waiting)} hosts")
        lines += [f"  {host}: {count}" for host, count in waiting.most_common(_HOSTS)]
    return lines


def _listed(counts: Counter[State]) -> str:
    return ", ".join(f"{counts[state]} {state}" for state in State)
