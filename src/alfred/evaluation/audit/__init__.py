"""The audit: one named check for each way in which a result can fool its author. A file of this folder holds checks.

`examine(evidence)` runs them all. A check sees one `Evidence`, whose parts are optional; what it cannot look at because
a part is lacking is reported as not examined, never as passed.
"""

from alfred.evaluation.audit._contracts import (
    Audit,
    AuditCheck,
    Finding,
    Found,
    Outcome,
    Probe,
    Severity,
    TooLittleError,
)
from alfred.evaluation.audit._evidence import (
    AccountEvidence,
    BasketChoice,
    Evidence,
    FigureEvidence,
    FitEvidence,
    FoldRows,
    LabelEvidence,
    LossEvidence,
    PanelEvidence,
    Rows,
    ScaledRows,
    ScalerEvidence,
)
from alfred.evaluation.audit._examine import audit_checks, examine

__all__ = [
    "AccountEvidence",
    "Audit",
    "AuditCheck",
    "BasketChoice",
    "Evidence",
    "FigureEvidence",
    "Finding",
    "FitEvidence",
    "FoldRows",
    "Found",
    "LabelEvidence",
    "LossEvidence",
    "Outcome",
    "PanelEvidence",
    "Probe",
    "Rows",
    "ScaledRows",
    "ScalerEvidence",
    "Severity",
    "TooLittleError",
    "audit_checks",
    "examine",
]
