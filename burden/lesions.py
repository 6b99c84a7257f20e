"""Lesion: one row of the lesion table."""

from __future__ import annotations

from dataclasses import dataclass, field

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Lesion:
    """One liver lesion as measured on the native grid.

    Parameters
    ----------
    id
        1..n, the value in ``masks/lesions.nii.gz``; 1 is the largest by volume.
    volume_ml
        Voxel count times voxel volume.
    volume_corrected_ml
        The same with the partial volume of slices corrected by the course of the areas through
        them; nearer to the truth for small lesions in thick slices. None in older records.
    recist_long_mm, recist_short_mm
        RECIST 1.1: longest diameter in the acquisition plane, and the longest one
        perpendicular to it in the same slice.
    recist_slice_index
        Index along the grid's ``slice_axis``.
    recist_ends_mm
        The two end points of the long axis, then those of the short axis (LPS mm).
    feret_3d_mm, equivalent_diameter_mm
        Largest distance between any two points; diameter of the sphere of equal volume.
    centroid_mm
        LPS mm.
    segments
        Share of the lesion in each Couinaud segment, ``{4: 0.9, 3: 0.1}``; empty if unknown.
    lobe
        ``right``, ``left``, ``both`` (10 % or more on the lesser side), ``caudate`` (segment 1
        alone) or ``unknown``.
    distance_capsule_mm, distance_hilum_mm, distance_ivc_mm, distance_vessel_mm
        From the lesion's surface to that of the liver, to the bifurcation of the portal vein, to the
        vena cava and to the nearest vessel segmented; None where the structure is not known.
    mean_intensity
        Mean image value inside, in the image's unit.
    p_lesion
        Calibrated probability that this is a lesion; 1 where masks were given.
    source
        What found it: the model with its version, as ``liver_burden_ctmr 2.4.0``; ``given masks``; a
        model ``..., with given masks of ...``; or ``edited by ... at ...``.
    touches_edge
        Whether it reaches the edge of the image, so that its size is a lower bound.
    component
        Id of the largest lesion of the connected body that it is part of: its own where it touches
        no other. Lesions with one number were told apart at a neck; joining them undoes that.
    viable_ml, viable_long_mm
        Enhancing volume, and mRECIST: longest diameter of enhancing tissue in the arterial phase;
        None where no phase shows it.
    uptake
        Share of the lesion that is ``hyper``, ``hypo``, ``necrotic`` and ``rim`` in the arterial phase;
        empty without one.
    """

    id: int
    volume_ml: float
    recist_long_mm: float
    recist_short_mm: float
    recist_slice_index: int
    recist_ends_mm: tuple[Point, Point, Point, Point]
    feret_3d_mm: float
    equivalent_diameter_mm: float
    centroid_mm: Point
    segments: dict[int, float]
    lobe: str
    distance_capsule_mm: float | None
    distance_hilum_mm: float | None
    mean_intensity: float | None
    p_lesion: float
    source: str
    touches_edge: bool = False
    enhancement: str = ""
    component: int = 0
    distance_ivc_mm: float | None = None
    distance_vessel_mm: float | None = None
    volume_corrected_ml: float | None = None
    viable_ml: float | None = None
    viable_long_mm: float | None = None
    uptake: dict[str, float] = field(default_factory=dict)
