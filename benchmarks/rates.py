"""Rates from times: what two sides do per second, and what share of a peak is reached.

In: rows of a benchmark, and seconds by case and round. Out: the same rows with more in them.
"""

from __future__ import annotations

from typing import Any

from benchmarks import timing


def joined(row: dict[str, Any], seconds: dict[str, list[float]]) -> dict[str, Any]:
    """A row with both sides' rates, and the ratio of them.

    Args:
        row: with the names of two cases, `ours` and `peer`, and what a run of each does, `ours_amount` and
            `peer_amount` (crops or megapixels).
        seconds: of the cases, by name and round.
    """
    row = dict(row)
    ours, peer = seconds[row.pop("ours")], seconds[row.pop("peer")]
    amount, peer_amount = row.pop("ours_amount"), row.pop("peer_amount")
    return row | {
        "ours_per_sec": round(amount / timing.summary(ours)["median_sec"], 5),
        "peer_per_sec": round(peer_amount / timing.summary(peer)["median_sec"], 5),
        "ratio": round(timing.ratio(peer, ours) * amount / peer_amount, 4),
        "ours_sec": timing.summary(ours),
        "peer_sec": timing.summary(peer),
    }


def shares(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Adds to each row its GFLOP/s, and the share of the fastest convolution of its precision.

    Args:
        rows: with `kind` ("matmul", "convolution" or "network"), `precision`, `flop` and `median_sec`.
    """
    rates = [row["flop"] / row["median_sec"] / 1e9 for row in rows]
    peaks: dict[str, float] = {}
    for row, rate in zip(rows, rates, strict=True):
        if row["kind"] == "convolution":
            peaks[row["precision"]] = max(peaks.get(row["precision"], 0.0), rate)
    return [
        row | {"gflop_per_sec": round(rate, 3), "share": round(rate / peaks[row["precision"]], 4)}
        for row, rate in zip(rows, rates, strict=True)
    ]
