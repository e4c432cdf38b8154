"""For tests of either side of the contract: steps in milliseconds, and the walks every implementation has to know."""
