"""A job in place of the model: one DICOM object that counts the images, whole or not at all.

``cheap_job.py IMAGES OUT``. The object's UID depends on the images alone. A study whose patient
is called FAIL or BAD fails: FAIL might go well next time, BAD never; SLOW takes its time.
"""

from __future__ import annotations

import hashlib
import sys
import time
from pathlib import Path


def main(images: Path, out: Path) -> int:
    from pydicom import dcmread
    from pydicom.dataset import FileDataset, FileMetaDataset

    found = [dcmread(path, stop_before_pixels=True) for path in sorted(images.iterdir())]
    name = str(found[0].PatientName)
    if "BAD" in name or "FAIL" in name:
        sys.stderr.write(f"cannot do {name}\n")
        return 3 if "BAD" in name else 1
    if "SLOW" in name:
        time.sleep(2)
    every = "/".join(sorted(one.SOPInstanceUID for one in found))
    uid = f"2.25.{int(hashlib.sha256(every.encode()).hexdigest()[:30], 16)}"
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
    meta.MediaStorageSOPInstanceUID = uid
    data = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, uid
    data.StudyInstanceUID = found[0].StudyInstanceUID
    data.SeriesInstanceUID = f"{uid}.1"[:64]
    data.PatientName, data.PatientID = found[0].PatientName, found[0].PatientID
    data.StudyDate, data.Modality = found[0].StudyDate, "SR"
    data.ImageComments = f"{len(found)} images"
    part = out.with_name(f".{out.name}.part")
    (part / "dicom").mkdir(parents=True)
    data.save_as(part / "dicom" / "sr.dcm", enforce_file_format=True)
    time.sleep(0.05)
    (part / "case.json").write_text(f'{{"images": {len(found)}}}')
    part.rename(out)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
