"""`python -m scripts hunt`: standing campaigns of random inputs, each with a seed and an independent answer.

A campaign is an object of the kind that campaign.py describes, in a module here, and a line in CAMPAIGNS; runner.py
draws its cases, judges them in processes of their own and keeps a log. docs/measurements/hunt.md has what was
found and counted.
"""

from __future__ import annotations

# Name -> where the campaign is, in the order in which `python -m scripts hunt all` runs them.
CAMPAIGNS = {
    "layers": "layers:CAMPAIGN",
    "layers_rtl": "layers:RTL",
    "networks": "networks:CAMPAIGN",
    "depths": "depths:CAMPAIGN",
    "explore": "explore:CAMPAIGN",
    "programs": "programs:CAMPAIGN",
    "files": "files:CAMPAIGN",
    "kills": "kills:CAMPAIGN",
}
