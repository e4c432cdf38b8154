"""All checks, and their findings for people. Pure."""

from collections.abc import Sequence
from datetime import datetime

from streamingstack_cli.doctor import cluster_checks, stack_checks
from streamingstack_cli.doctor.facts import Facts, Finding, Level

_TITLES = {
    Level.STOPS: "Stops the stack",
    Level.WEAKENS: "Weakens it",
    Level.NOTE: "Worth knowing",
}


def examine(facts: Facts, now: datetime) -> list[Finding]:
    """Every finding, the worst first."""
    found = [
        *cluster_checks.version_is_too_old(facts),
        *cluster_checks.api_is_missing(facts),
        *stack_checks.license_is_unusable(facts, now),
        *stack_checks.reference_is_missing(facts),
        *cluster_checks.storage_is_missing(facts),
        *cluster_checks.gpus_are_missing(facts),
        *cluster_checks.entrance_is_missing(facts),
        *cluster_checks.policies_are_not_enforced(facts),
        *cluster_checks.autoscaler_ends_sessions(facts),
        *cluster_checks.quota_may_refuse(facts),
        *stack_checks.promises_are_weakened(facts),
        *stack_checks.nothing_is_delivered(facts),
        *stack_checks.operator_is_silent(facts),
        *stack_checks.something_is_unseen(facts),
    ]
    order = list(Level)
    return sorted(found, key=lambda finding: order.index(finding.level))


def told(findings: Sequence[Finding], subject: str) -> str:
    """The findings as text."""
    lines: list[str] = []
    for level in Level:
        of_level = [finding for finding in findings if finding.level is level]
        if of_level:
            lines.append(f"{_TITLES[level]}:")
        for finding in of_level:
            lines += [f"  {finding.about}: {finding.problem}", f"    -> {finding.remedy}"]
    counts = {level: sum(finding.level is level for finding in findings) for level in Level}
    if not counts[Level.STOPS] and not counts[Level.WEAKENS]:
        lines.append(f"{subject}: nothing stops or weakens it here")
    else:
        lines.append(f"{subject}: {counts[Level.STOPS]} things stop it, {counts[Level.WEAKENS]} weaken it")
    return "\n".join(lines) + "\n"
