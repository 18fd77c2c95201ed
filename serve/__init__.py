"""``cloche serve``: sessions of many tenants behind HTTP, in worker processes, kept in a store; and its client."""
