"""HTTP handlers: each parses, asks one function, and answers."""
