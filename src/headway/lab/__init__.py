"""
The embedded lab: PostgreSQL, Valkey, nginx and the reference shop's app servers on one machine, by stage.

    status = Lab(Path(".headway/lab")).up(stage=1, scale=0.1)
    sources(status)      # what to load, and where to look
"""

from headway.lab.edge import Balance
from headway.lab.lab import Lab
from headway.lab.shop import shop_folder
from headway.lab.status import LabStatus, Service, sources

__all__ = ["Balance", "Lab", "LabStatus", "Service", "shop_folder", "sources"]
