"""Cross-sections of uppers behind the toe, by kind of shoe.

Each row is (back x, back z, front x, front z, half width, angle, sag) as `Base.rows` takes it; they
continue the five rows of the toe, so that the first of them is section 5.
"""

import math

import numpy as np
from numpy.typing import NDArray

Rows = tuple[tuple[float, ...], ...]

# The bare foot and ankle: what straps lie on.
FOOT: Rows = (
    (0.55, 0.0, 0.60, 0.205, 0.152, 0.5, 0.0),
    (0.36, 0.0, 0.51, 0.255, 0.128, 0.5, 0.0),
    (0.18, 0.0, 0.45, 0.295, 0.122, 0.52, 0.0),
    (0.05, 0.03, 0.42, 0.33, 0.116, 0.65, 0.0),
    (0.005, 0.14, 0.40, 0.355, 0.114, 0.88, 0.0),
    (0.015, 0.27, 0.38, 0.385, 0.112, 1.0, 0.0),
    (0.03, 0.37, 0.37, 0.45, 0.11, 1.0, 0.0),
)
PUMP: Rows = (
    (0.58, 0.0, 0.715, 0.15, 0.153, 0.5, 0.0),
    (0.36, 0.0, 0.70, 0.15, 0.128, 0.5, 0.0),
    (0.17, 0.0, 0.695, 0.15, 0.124, 0.53, 0.01),
    (0.05, 0.03, 0.69, 0.15, 0.122, 0.68, 0.02),
    (0.005, 0.11, 0.69, 0.152, 0.124, 0.88, 0.04),
    (0.012, 0.2, 0.685, 0.155, 0.13, 1.0, 0.055),
)
LOAFER: Rows = (
    (0.56, 0.0, 0.62, 0.2, 0.153, 0.5, 0.0),
    (0.36, 0.0, 0.55, 0.245, 0.128, 0.5, 0.0),
    (0.17, 0.0, 0.52, 0.265, 0.124, 0.53, 0.0),
    (0.05, 0.03, 0.51, 0.275, 0.12, 0.68, 0.01),
    (0.005, 0.12, 0.505, 0.28, 0.118, 0.88, 0.03),
    (0.015, 0.23, 0.50, 0.285, 0.112, 1.0, 0.06),
)
TRAINER: Rows = (
    (0.56, 0.0, 0.61, 0.215, 0.155, 0.5, 0.0),
    (0.36, 0.0, 0.53, 0.29, 0.135, 0.5, 0.0),
    (0.17, 0.0, 0.475, 0.345, 0.13, 0.53, 0.0),
    (0.04, 0.03, 0.45, 0.375, 0.125, 0.68, 0.01),
    (0.0, 0.14, 0.435, 0.395, 0.12, 0.88, 0.04),
    (0.01, 0.28, 0.42, 0.41, 0.112, 1.0, 0.08),
)
HIGH_TOP: Rows = (
    *TRAINER[:4],
    (0.0, 0.14, 0.43, 0.42, 0.12, 0.88, 0.0),
    (0.01, 0.3, 0.40, 0.5, 0.112, 1.0, 0.02),
    (0.03, 0.5, 0.38, 0.6, 0.115, 1.0, 0.03),
    (0.01, 0.68, 0.385, 0.7, 0.12, 1.0, 0.03),
)
BOOT_FOOT: Rows = (
    (0.55, 0.0, 0.60, 0.22, 0.156, 0.5, 0.0),
    (0.36, 0.0, 0.52, 0.3, 0.134, 0.5, 0.0),
    (0.18, 0.0, 0.46, 0.36, 0.13, 0.52, 0.0),
    (0.05, 0.03, 0.43, 0.43, 0.126, 0.65, 0.0),
    (0.0, 0.13, 0.41, 0.49, 0.124, 0.85, 0.0),
    (0.01, 0.28, 0.39, 0.55, 0.122, 0.97, 0.0),
)


def boot_shaft(top: float, calf: float) -> tuple[Rows, float]:
    """The shaft of a boot that ends `top` above the bed, and how far apart its sections are.

    `calf` widens it on its way up.
    """
    levels = np.linspace(0.45, top, max(2, round((top - 0.3) / 0.28)))
    rows = []
    for level in levels.tolist():
        up = min(max((level - 0.4) / 0.9, 0.0), 1.0)
        bulge = calf * math.sin(math.pi * up * 0.72)
        front = level + 0.14 * (1 - up)
        rows.append((0.02 - bulge, level, 0.4 + 0.4 * bulge, front, 0.128 + 0.5 * bulge, 1.0, 0.0))
    return tuple(rows), float(levels[1] - levels[0])


def start_at(rows: NDArray[np.float64], section: float) -> NDArray[np.float64]:
    """The rows from a (fractional) section on: an upper that leaves the toes free."""
    whole = int(section)
    share = section - whole
    first = rows[whole] * (1 - share) + rows[whole + 1] * share
    return np.concatenate([first[None], rows[whole + 1 :]])
