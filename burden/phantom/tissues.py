"""What each tissue looks like in each phase or sequence: mean value and texture."""

from __future__ import annotations

PHASES = {
    "CT": ("non-contrast", "arterial", "portal", "delayed"),
    "MR": ("t1_pre", "t1_arterial", "t1_portal", "t1_hepatobiliary", "t2", "dwi"),
}

# HU by phase: non-contrast, arterial, portal, delayed; last: texture, standard deviation in HU
_CT: dict[str, tuple[float, float, float, float, float]] = {
    "air": (-1000, -1000, -1000, -1000, 0),
    "table": (-40, -40, -40, -40, 8),
    "skin": (15, 20, 30, 28, 6),
    "fat": (-106, -106, -105, -105, 5),
    "visceral_fat": (-104, -103, -101, -101, 9),
    "muscle": (52, 57, 64, 62, 5),
    "lung": (-855, -850, -845, -845, 18),
    "lung_vessel": (10, 90, 60, 40, 10),
    "heart": (42, 190, 145, 118, 8),
    "myocardium": (45, 95, 110, 90, 6),
    "liver": (57, 68, 111, 96, 4),
    "hepatic_vein": (42, 62, 152, 122, 3),
    "portal_vein": (42, 110, 170, 126, 3),
    "hepatic_artery": (42, 280, 150, 122, 3),
    "cava": (41, 75, 138, 122, 5),
    "aorta": (42, 300, 158, 126, 4),
    "gallbladder": (9, 9, 10, 10, 2),
    "gallbladder_wall": (35, 45, 60, 60, 3),
    "spleen": (47, 118, 122, 102, 4),
    "kidney_cortex": (32, 170, 188, 150, 5),
    "kidney_medulla": (30, 62, 138, 160, 7),
    "kidney_sinus": (-70, -60, -40, -20, 14),
    "pancreas": (40, 105, 96, 80, 9),
    "adrenal": (25, 60, 70, 60, 4),
    "gut_wall": (40, 85, 96, 82, 6),
    "gut_fluid": (12, 12, 14, 14, 5),
    "gut_content": (36, 36, 38, 38, 11),
    "gut_faeces": (-60, -60, -60, -60, 140),
    "gut_air": (-990, -990, -990, -990, 4),
    "bone": (165, 170, 185, 180, 38),
    "cortical": (560, 560, 570, 570, 40),
    "disc": (82, 82, 85, 85, 5),
    "cord": (36, 36, 38, 38, 3),
    "cartilage": (95, 95, 98, 98, 12),
    "lesion_hypo": (44, 52, 66, 68, 6),
    "lesion_hyper": (48, 128, 100, 84, 7),
    "lesion_rim": (46, 122, 124, 100, 6),
    "lesion_necrosis": (22, 23, 26, 27, 5),
    "lesion_cyst": (7, 7, 8, 8, 2),
    "lesion_calcium": (430, 430, 440, 440, 90),
    "lesion_matrix": (46, 60, 74, 74, 9),
}

# arbitrary units: t1_pre, t1_arterial, t1_portal, t1_hepatobiliary, t2 (fat-suppressed), dwi; texture
_MR: dict[str, tuple[float, float, float, float, float, float, float]] = {
    "air": (0, 0, 0, 0, 0, 0, 0),
    "table": (0, 0, 0, 0, 0, 0, 0),
    "skin": (130, 140, 170, 150, 120, 20, 8),
    "fat": (62, 62, 64, 64, 105, 22, 7),
    "visceral_fat": (70, 72, 78, 76, 110, 24, 9),
    "muscle": (235, 245, 262, 258, 85, 45, 9),
    "lung": (14, 16, 18, 16, 18, 4, 4),
    "lung_vessel": (90, 220, 170, 130, 60, 10, 6),
    "heart": (150, 520, 420, 300, 60, 20, 20),
    "myocardium": (240, 330, 360, 300, 140, 40, 12),
    "liver": (330, 370, 480, 640, 150, 92, 9),
    "hepatic_vein": (150, 230, 590, 330, 55, 18, 8),
    "portal_vein": (150, 330, 620, 330, 55, 18, 8),
    "hepatic_artery": (150, 700, 560, 320, 40, 15, 8),
    "cava": (150, 280, 560, 320, 60, 16, 12),
    "aorta": (150, 760, 590, 320, 38, 12, 10),
    "gallbladder": (210, 210, 215, 300, 760, 40, 8),
    "gallbladder_wall": (220, 240, 320, 320, 200, 60, 8),
    "spleen": (215, 420, 470, 330, 300, 265, 9),
    "kidney_cortex": (290, 600, 640, 520, 330, 230, 12),
    "kidney_medulla": (205, 300, 580, 620, 400, 220, 12),
    "kidney_sinus": (90, 110, 160, 300, 260, 40, 20),
    "pancreas": (340, 560, 480, 400, 175, 110, 16),
    "adrenal": (230, 320, 330, 280, 150, 100, 8),
    "gut_wall": (220, 330, 380, 330, 190, 90, 12),
    "gut_fluid": (95, 95, 100, 100, 720, 60, 25),
    "gut_content": (210, 210, 215, 215, 420, 60, 45),
    "gut_faeces": (190, 190, 190, 190, 160, 30, 70),
    "gut_air": (3, 3, 3, 3, 4, 1, 2),
    "bone": (120, 130, 150, 140, 120, 35, 16),
    "cortical": (18, 18, 18, 18, 16, 5, 4),
    "disc": (150, 155, 170, 165, 190, 45, 12),
    "cord": (170, 175, 180, 180, 430, 60, 10),
    "cartilage": (140, 145, 150, 150, 130, 30, 10),
    "lesion_hypo": (215, 285, 360, 265, 300, 215, 15),
    "lesion_hyper": (215, 640, 460, 275, 310, 235, 16),
    "lesion_rim": (220, 600, 560, 300, 310, 245, 15),
    "lesion_necrosis": (165, 168, 175, 180, 520, 110, 12),
    "lesion_cyst": (105, 105, 108, 108, 860, 40, 5),
    "lesion_calcium": (60, 60, 65, 60, 40, 15, 10),
    "lesion_matrix": (215, 300, 380, 280, 290, 210, 22),
}


def look_up(modality: str, phase: str) -> dict[str, tuple[float, float]]:
    """``{tissue: (mean, texture)}`` of one phase: HU for CT, arbitrary units for MR."""
    column = PHASES[modality].index(phase)
    table: dict[str, tuple[float, ...]] = dict(_CT if modality == "CT" else _MR)
    return {name: (row[column], row[-1]) for name, row in table.items()}
