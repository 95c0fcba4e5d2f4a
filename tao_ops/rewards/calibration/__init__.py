"""Scores become the probability that a response is correct.

``cases`` are scored responses, labelled or not; ``fitting`` makes a calibrator of labels, ``unlabelled`` one of what
the scorers say of each other; ``model`` is the calibrator, applied with numpy alone. ``quality`` and ``picture`` tell
how good it is, ``changes`` what became of it since.
"""

from tao_ops.rewards.calibration.cases import Anchor, Case, LabelledResponse, Source, read_anchors
from tao_ops.rewards.calibration.changes import drift, moved
from tao_ops.rewards.calibration.fitting import fit, out_of_fold
from tao_ops.rewards.calibration.model import Calibrator
from tao_ops.rewards.calibration.quality import Bin, CalibrationReport, Estimate, report
from tao_ops.rewards.calibration.unlabelled import Agreement, agreement, raters

__all__ = [
    "Agreement",
    "Anchor",
    "Bin",
    "CalibrationReport",
    "Calibrator",
    "Case",
    "Estimate",
    "LabelledResponse",
    "Source",
    "agreement",
    "drift",
    "fit",
    "moved",
    "out_of_fold",
    "raters",
    "read_anchors",
    "report",
]
