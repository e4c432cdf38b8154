"""What a service owes the licence proxy: its verdict asked before a session, the session's usage told until it has it."""
