"""Who may send what, when: a pure model of one stream between gateway and recogniser.

Feed it every message of one stream in the order that one side sees them: the gateway calls `up` before it sends and
`down` when it receives, the recogniser `up` when it receives and `down` before it sends. Every legal conversation is
accepted from both places, whatever lies in between; the first illegal message raises ContractError, naming the rule of
docs/contract.md. Rules about time (5 s Pings, 3 s of silence on the line, hedges) need a clock and are not here.
"""

from asr_contract.conversation.errors import ContractError
from asr_contract.conversation.model import ClosedSegment, Conversation, Phase

__all__ = ["ClosedSegment", "ContractError", "Conversation", "Phase"]
