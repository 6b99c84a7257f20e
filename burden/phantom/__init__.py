"""The digital liver phantom: an abdomen with known answers, as CT or MR, NIfTI or DICOM.

``spec`` says what is wanted, ``make`` paints it and states the truth, ``write_phantom`` writes
both. The shapes are functions of continuous patient coordinates; the truth does not come from
the voxels. Read ``make.py`` first.
"""

from __future__ import annotations

from burden.phantom.make import Phantom, make
from burden.phantom.scatter import random_spec
from burden.phantom.spec import LesionSpec, Spec, load_spec
from burden.phantom.write import write_phantom

__all__ = ["LesionSpec", "Phantom", "Spec", "load_spec", "make", "random_spec", "write_phantom"]
