"""Canvas: paints shapes one over another with soft edges, in value and in texture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from burden.phantom.shapes import Array, Points, Tube, Window


@dataclass(eq=False)
class Canvas:
    """An image being painted.

    Parameters
    ----------
    points
        Where the samples are, in the unscaled frame of the patient.
    world
        The same samples in world mm (for lesions, which are stated in world mm).
    looks
        ``{tissue: (mean, texture)}``.
    soft
        Width of an edge, mm: the in-plane sample spacing.
    value, texture
        The image and the standard deviation of its texture.
    """

    points: Points
    world: Points
    looks: dict[str, tuple[float, float]]
    soft: float
    value: Array
    texture: Array

    @classmethod
    def blank(
        cls, points: Points, world: Points, looks: dict[str, tuple[float, float]], soft: float
    ) -> Canvas:
        """A canvas full of air."""
        value = np.full(points.shape, np.float32(looks["air"][0]))
        return cls(points, world, looks, soft, value, np.zeros(points.shape, dtype=np.float32))

    def paint(
        self, tissue: str, distance: Array, window: Window | None = None, share: float | Array = 1.0
    ) -> None:
        """Paint a tissue where ``distance`` (over ``window``, or over all) is negative."""
        mean, texture = self.looks[tissue]
        cover = np.clip(np.float32(0.5) - distance * np.float32(1 / self.soft), 0, 1)
        if not isinstance(share, float) or share != 1.0:
            cover = cover * np.asarray(share, dtype=np.float32)
        value = self.value if window is None else self.value[window]
        grain = self.texture if window is None else self.texture[window]
        value += (np.float32(mean) - value) * cover
        grain += (np.float32(texture) - grain) * cover

    def tube(self, tissue: str, tube: Tube, share: float = 1.0) -> None:
        """Paint a tube."""
        window = self.points.window(*tube.box(3.0))
        if window is not None:
            self.paint(tissue, tube.distance(self.points.at(window), 3.0), window, share)
