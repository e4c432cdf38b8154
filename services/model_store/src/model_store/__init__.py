"""Models by source URI: fetch, verify, keep by digest."""
