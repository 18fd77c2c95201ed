"""The sandbox as an MCP server: what ``cloche mcp`` serves."""
