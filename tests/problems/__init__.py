"""Values that cannot work, one table for each folder of rules; the chart refuses each by its own sentence."""

from problems.case import Problem
from problems.fields import FIELDS
from problems.inference import INFERENCE
from problems.kinds import KINDS
from problems.lmcache import LMCACHE
from problems.monitoring import MONITORING
from problems.resp import RESP
from problems.scaling import SCALING
from problems.stores import STORES
from problems.tenants import TENANTS

__all__ = ["PROBLEMS", "Problem"]

PROBLEMS = INFERENCE | FIELDS | KINDS | LMCACHE | MONITORING | RESP | SCALING | STORES | TENANTS
