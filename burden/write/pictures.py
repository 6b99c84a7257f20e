"""Pictures for the report, as PNG in memory.

Radiological convention: the viewer's left is the patient's right; posterior is down on
axial, feet are down on coronal pictures. Pixels are square in mm whatever the voxels are.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from burden.case import Case, Images
from burden.lesions import Lesion
from burden.write.slices import View, coronal_slice, key_slices, lps_view

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LIVER, LESION, MARK = "#35d0e6", "#ffb000", "#f4f4f4"
_CT_WINDOW = (60.0 - 175.0, 60.0 + 175.0)  # soft tissue: level 60, width 350
_WIDTH_PX, _DPI = 640, 160
_MARGIN_MM = 28.0
_MOST_NUMBERS = 12  # more numbers than this on one picture hide the picture

Rect = tuple[float, float, float, float]


@dataclass(frozen=True)
class Picture:
    """One picture: PNG bytes, its size in px, what it shows and where."""

    png: bytes
    width: int
    height: int
    alt: str
    caption: str


Pictures = tuple[list[Picture], Picture | None]
_DRAWN: WeakKeyDictionary[Images, tuple[tuple[Lesion, ...], Pictures]] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class _Plane:
    """One slice as shown: arrays ``[row, column]``, and the mm position of pixel centres."""

    image: NDArray[np.generic]
    liver: NDArray[np.bool_]
    lesions: NDArray[np.unsignedinteger]
    step: tuple[float, float]  # mm per row, per column
    frame: Rect  # left, right, top, bottom of what is shown, mm
    letters: tuple[str, str, str, str]  # left, right, top, bottom


def case_pictures(case: Case) -> Pictures:
    """Axial key slices, head first, and a coronal overview; nothing without images."""
    if case.images is None:
        return [], None
    # Page, PDF and captures show the same pictures; drawing them is most of the work.
    drawn = _DRAWN.get(case.images)
    if drawn is None or drawn[0] != case.lesions:
        drawn = _DRAWN[case.images] = (case.lesions, _draw_case(case, case.images))
    return drawn[1]


def _draw_case(case: Case, images: Images) -> Pictures:
    view = lps_view(images)
    window = grey_window(view)
    shown = key_slices(view, case.lesions)
    axial = [_axial(view, k, case.lesions, window) for k in shown]
    return axial, _coronal(view, shown, case.lesions, window)


def grey_window(view: View) -> tuple[float, float]:
    """Image values shown black and white: soft tissue for CT, percentiles for MR."""
    if view.modality == "CT":
        return _CT_WINDOW
    rows, columns, slabs = (slice(a, b) for a, b in _box(view.liver, view.data.shape))
    near = np.asarray(view.data[rows, columns, slabs], dtype=np.float32)[::2, ::2]
    near = near[near != 0] if near.any() else near
    low, high = (float(p) for p in np.percentile(near, (1.0, 99.5)))
    if view.liver.any():  # a liver brighter than all else must not come out as a white patch
        middle = float(np.median(view.data[view.liver].astype(np.float32)))
        high = max(high, low + 1.5 * (middle - low))
    return low, high if high > low else low + 1.0


def _axial(view: View, k: int, lesions: Sequence[Lesion], window: tuple[float, float]) -> Picture:
    steps, shape = view.grid.spacing, view.grid.shape
    (left, right), (front, back), _ = _box(view.liver, shape, _MARGIN_MM, steps)
    plane = _Plane(
        image=view.data[:, :, k].T,
        liver=view.liver[:, :, k].T,
        lesions=view.lesions[:, :, k].T,
        step=(steps[1], steps[0]),
        frame=(left * steps[0], (right - 1) * steps[0], front * steps[1], (back - 1) * steps[1]),
        letters=("R", "L", "A", "P"),
    )
    present = [int(n) for n in np.unique(plane.lesions) if n]
    axes_of = [one for one in lesions if one.id in present and _lies_on(view, one, k)]
    height = _height(view, k)
    names = _list_lesions(present, lesions)
    return _draw(
        plane,
        window,
        caption=f"{_signed(height)} mm · {names}",
        alt=f"Axial slice at {_signed(height)} mm with liver and lesion outlines: {names}.",
        crosses=[_cross(view, one) for one in axes_of],
    )


def _coronal(
    view: View, shown: Sequence[int], lesions: Sequence[Lesion], window: tuple[float, float]
) -> Picture:
    steps, shape = view.grid.spacing, view.grid.shape
    j = coronal_slice(view)
    (left, right), _, (foot, head) = _box(view.liver, shape, 2.2 * _MARGIN_MM, steps)
    top = shape[2] - 1
    plane = _Plane(
        image=view.data[:, j, ::-1].T,
        liver=view.liver[:, j, ::-1].T,
        lesions=view.lesions[:, j, ::-1].T,
        step=(steps[2], steps[0]),
        frame=(
            left * steps[0],
            (right - 1) * steps[0],
            (top - head + 1) * steps[2],
            (top - foot) * steps[2],
        ),
        letters=("R", "L", "H", "F"),
    )
    present = [int(n) for n in np.unique(plane.lesions) if n]
    names = _list_lesions(present, lesions)
    return _draw(
        plane,
        window,
        caption=f"Coronal overview · {names}; dashed: levels of the axial slices",
        alt=f"Coronal overview with liver and lesion outlines: {names}.",
        levels=[(top - k) * steps[2] for k in shown],
    )


def _draw(
    plane: _Plane,
    window: tuple[float, float],
    *,
    caption: str,
    alt: str,
    crosses: Sequence[NDArray[np.float64]] = (),
    levels: Sequence[float] = (),
) -> Picture:
    """Render one plane; image and outlines share one mm coordinate system, y down."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    left, right, top, bottom = plane.frame
    width, height = right - left + plane.step[1], bottom - top + plane.step[0]
    rows = max(1, round(_WIDTH_PX * height / width))
    figure = Figure(figsize=(_WIDTH_PX / _DPI, rows / _DPI), dpi=_DPI, facecolor="black")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    n_rows, n_columns = plane.image.shape
    half_row, half_column = plane.step[0] / 2, plane.step[1] / 2
    extent = (
        -half_column,
        n_columns * plane.step[1] - half_column,
        n_rows * plane.step[0] - half_row,
        -half_row,
    )
    axes.imshow(
        np.asarray(plane.image, dtype=np.float32),
        cmap="gray", vmin=window[0], vmax=window[1], extent=extent, interpolation="bicubic",
    )  # fmt: skip
    axes.set_xlim(left - half_column, right + half_column)
    axes.set_ylim(bottom + half_row, top - half_row)
    for level in levels:
        axes.axhline(level, color=MARK, linewidth=0.7, linestyle=(0, (5, 4)), alpha=0.8)
    _outline(axes, plane.liver, plane.step, LIVER, 1.3)
    _outline(axes, plane.lesions > 0, plane.step, LESION, 1.6)
    for ends in crosses:
        for a, b in (ends[:2], ends[2:]):
            axes.plot([a[0], b[0]], [a[1], b[1]], color=MARK, linewidth=1.0)
    _label_lesions(axes, plane)
    _annotate(axes, plane, width)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return Picture(_smaller(buffer.getvalue()), _WIDTH_PX, rows, alt, caption)


def _outline(
    axes: Axes, mask: NDArray[np.bool_], step: tuple[float, float], color: str, width: float
) -> None:
    from skimage.measure import find_contours

    padded = np.pad(mask, 1).astype(np.float32)
    for line in find_contours(padded, 0.5):
        rows, columns = (line[:, 0] - 1) * step[0], (line[:, 1] - 1) * step[1]
        axes.plot(columns, rows, color=color, linewidth=width, solid_joinstyle="round")


def _label_lesions(axes: Axes, plane: _Plane) -> None:
    numbers, counts = np.unique(plane.lesions[plane.lesions > 0], return_counts=True)
    for n in sorted(numbers[np.argsort(-counts, kind="stable")][:_MOST_NUMBERS]):
        rows, columns = np.nonzero(plane.lesions == n)
        corner = int((columns * plane.step[1] - rows * plane.step[0]).argmax())
        x = (columns[corner] + 0.5) * plane.step[1] + 1.0
        y = (rows[corner] + 0.5) * plane.step[0] - 1.0
        _text(axes, x, y, str(int(n)), LESION, 11, ha="left", va="bottom")


def _annotate(axes: Axes, plane: _Plane, width: float) -> None:
    """Letters of the patient's sides and a scale bar of a round length."""
    left, right, top, bottom = plane.frame
    pad = width * 0.02
    west, east, north, south = plane.letters
    middle_x, middle_y = (left + right) / 2, (top + bottom) / 2
    _text(axes, left + pad, middle_y, west, MARK, 13, ha="left", va="center")
    _text(axes, right - pad, middle_y, east, MARK, 13, ha="right", va="center")
    _text(axes, middle_x, top + pad, north, MARK, 13, ha="center", va="top")
    _text(axes, middle_x, bottom - pad, south, MARK, 13, ha="center", va="bottom")
    x = right - pad * 2 - 50
    axes.plot([x, x + 50], [bottom - pad * 1.6] * 2, color=MARK, linewidth=2, solid_capstyle="butt")
    _text(axes, x + 25, bottom - pad * 2.4, "5 cm", MARK, 10, ha="center", va="bottom")


def _text(axes: Axes, x: float, y: float, text: str, color: str, size: float, **align: Any) -> None:
    from matplotlib.patheffects import withStroke

    axes.text(
        x, y, text, color=color, fontsize=size, clip_on=True, family="DejaVu Sans",
        path_effects=[withStroke(linewidth=2.5, foreground="black")], **align,
    )  # fmt: skip


def _smaller(png: bytes) -> bytes:
    """The same picture with a palette of 128 greys and 64 colours: a third of the bytes."""
    from PIL import Image

    with Image.open(io.BytesIO(png)) as full:
        rgb = np.asarray(full.convert("RGB"))
    colored = np.ptp(rgb.astype(np.int16), axis=2) > 8
    index = np.rint(rgb.mean(axis=2) * (127 / 255)).astype(np.uint8)
    palette = [round(n * 255 / 127) for n in range(128) for _ in range(3)]
    if colored.any():
        strip = Image.fromarray(rgb[colored][None]).quantize(64, method=Image.Quantize.MEDIANCUT)
        index[colored] = np.asarray(strip)[0] + 128
        palette += strip.getpalette() or []
    reduced = Image.fromarray(index, mode="P")
    reduced.putpalette(palette)
    buffer = io.BytesIO()
    reduced.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _box(
    mask: NDArray[np.bool_],
    shape: Sequence[int],
    margin_mm: float = 0.0,
    steps: Sequence[float] = (1.0, 1.0, 1.0),
) -> list[tuple[int, int]]:
    """Index range of a mask along each axis with a margin, inside the image."""
    box = []
    for axis in range(3):
        inside = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        first, last = (int(inside[0]), int(inside[-1])) if len(inside) else (0, shape[axis] - 1)
        grow = round(margin_mm / steps[axis])
        box.append((max(0, first - grow), min(shape[axis], last + grow + 1)))
    return box


def _lies_on(view: View, lesion: Lesion, k: int) -> bool:
    """Whether the RECIST axes lie in axial slice k."""
    heights = view.grid.index(np.array(lesion.recist_ends_mm))[:, 2]
    return bool(np.abs(heights - k).max() <= 0.6)


def _cross(view: View, lesion: Lesion) -> NDArray[np.float64]:
    """End points of the RECIST axes as (x, y) mm of the picture."""
    steps = view.grid.spacing
    return np.asarray(view.grid.index(lesion.recist_ends_mm)[:, :2] * np.array(steps[:2]))


def _height(view: View, k: int) -> float:
    """Head-foot position (LPS z, mm) of an axial slice at the middle of the image."""
    i, j = (n // 2 for n in view.grid.shape[:2])
    return float(view.grid.world((i, j, k))[2])


def _list_lesions(present: list[int], lesions: Sequence[Lesion]) -> str:
    if not present:
        return "no lesion in this slice" if lesions else "no lesion"
    if len(present) == 1:
        return f"lesion {present[0]}"
    if len(present) <= 5:
        return f"lesions {', '.join(map(str, present[:-1]))} and {present[-1]}"
    return f"lesions {', '.join(map(str, present[:4]))} and {len(present) - 4} more"


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "\N{MINUS SIGN}")
