"""What a service owes the licence proxy: to ask for its verdict, to tell usage until the proxy has it, and to tell its
sessions where limits hold over all services of a stack."""
