"""The contenders of the gateway's benchmark: each is started fresh, spoken to in its dialect, asked what it counted.

`install.sh` installs those that do not come with the project.
"""

from tests.bench.contenders.base import Contender, Dialect, Running
from tests.bench.contenders.gateway import GATEWAYS
from tests.bench.contenders.nchan import Nchan
from tests.bench.contenders.node import NODE
from tests.bench.contenders.tutorial import TUTORIALS

__all__ = ["CONTENDERS", "Contender", "Dialect", "Running"]

CONTENDERS: list[Contender] = [*GATEWAYS, *TUTORIALS, *NODE, Nchan()]
