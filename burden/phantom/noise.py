"""Texture, noise and shading: what a scanner and real tissue add to clean shapes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from burden.grid import Grid
from burden.phantom.shapes import Array


def grain(
    rng: np.random.Generator, shape: tuple[int, int, int], spacing: tuple[float, float, float]
) -> Array:
    """Tissue texture at several scales (1.2, 3 and 9 mm), standard deviation 1."""
    from scipy.ndimage import gaussian_filter, zoom

    total = np.zeros(shape, dtype=np.float32)
    for scale, weight in ((1.3, 0.75), (3.0, 0.5), (9.0, 0.35)):
        # coarse noise is made coarse and stretched: the same look, much less work
        cell = np.maximum(scale / 1.5 / np.array(spacing), 1.0)
        small = np.ceil(np.array(shape) / cell).astype(int) + 2
        noise = rng.standard_normal(tuple(small), dtype=np.float32)
        noise = gaussian_filter(noise, scale / (np.array(spacing) * cell), mode="reflect", truncate=3)
        noise *= np.float32(weight / max(float(noise.std()), 1e-6))
        if cell.max() > 1:
            noise = zoom(noise, np.array(shape) / small, order=1, mode="nearest", grid_mode=True)
        total += noise[: shape[0], : shape[1], : shape[2]]
    return np.asarray(total / max(float(total.std()), 1e-6), dtype=np.float32)


def ct_noise(
    rng: np.random.Generator, shape: tuple[int, int, int], spacing: tuple[float, float, float], axis: int
) -> Array:
    """Noise of filtered back-projection: a ramp at low, a soft cut at high frequency, slice by slice.

    Neighbouring slices share a little of it, as after helical interpolation. Standard deviation 1.
    """
    import scipy.fft as fft

    flat = tuple(a for a in range(3) if a != axis)
    noise = rng.standard_normal(shape, dtype=np.float32)
    f = [fft.fftfreq(shape[a], spacing[a]) for a in flat]
    f[1] = fft.rfftfreq(shape[flat[1]], spacing[flat[1]])
    radius = np.hypot(f[0][:, None], f[1][None, :])
    response = (radius + 0.02) * np.exp(-((radius / 0.5) ** 2))
    response = np.expand_dims(response.astype(np.float32), axis)
    spectrum = fft.rfftn(noise, axes=flat) * response
    noise = fft.irfftn(spectrum, s=[shape[a] for a in flat], axes=flat).astype(np.float32)
    noise = noise + np.float32(0.45) * np.roll(noise, 1, axis)
    return np.asarray(noise / max(float(noise.std()), 1e-6), dtype=np.float32)


def shading(rng: np.random.Generator, grid: Grid) -> Array:
    """Smooth field over the image, about -1..1: a few random low-order waves in world mm."""
    total: NDArray[np.float64] = np.zeros(grid.shape)
    index = [
        np.arange(n).reshape([-1 if a == b else 1 for b in range(3)]) for a, n in enumerate(grid.shape)
    ]
    for _ in range(4):
        k = rng.normal(size=3) / 170.0
        phase = rng.uniform(0, 2 * np.pi) + float(k @ grid.origin)
        steps = k @ grid.affine[:3, :3]
        total = total + np.cos(phase + sum(s * i for s, i in zip(steps, index, strict=True)))
    return (total / 2.5).astype(np.float32)
