"""The model store of a stack: fetches what it is told of, verifies it, serves it by digest."""
