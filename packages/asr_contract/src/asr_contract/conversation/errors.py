"""A broken rule, by name."""

Rule = int | str
# Rules of the messages themselves, beside the numbered ones.
ORDER: Rule = "order"
FIELDS: Rule = "fields"


class ContractError(Exception):
    """A message that the contract does not allow here.

    `rule` is a number of docs/contract.md, "order" (which message may come when) or "fields" (a value out of its
    range); `text` says what was wrong with positions, counts and ids, never with anything spoken.
    """

    def __init__(self, rule: Rule, text: str) -> None:
        super().__init__(f"rule {rule}: {text}")
        self.rule = rule
        self.text = text


def require(holds: bool, rule: Rule, text: str) -> None:
    """Raises ContractError unless `holds`."""
    if not holds:
        raise ContractError(rule, text)


def require_share(value: float, field: str) -> None:
    """Raises ContractError unless `value` is between 0 and 1 (a probability, a score, a confidence)."""
    require(0.0 <= value <= 1.0, FIELDS, f"{field} must lie between 0 and 1")
