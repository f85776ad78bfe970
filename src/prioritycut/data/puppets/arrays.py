"""The kinds of arrays that puppets are drawn with.

Pixels are float32, paths and maps float64 until they are stored; NumPy's stubs cannot follow which.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Numbers: TypeAlias = NDArray[np.floating]
Whole: TypeAlias = NDArray[np.integer]

Field: TypeAlias = Numbers  # rows cols: a number at each point of a sheet
Picture: TypeAlias = Numbers  # rows cols 4: RGB times coverage, coverage
Affine: TypeAlias = Numbers  # ... 2 3: a map of the plane
