"""What a service owes the licence proxy: to ask for its verdict, and to tell usage until the proxy has it."""
