"""The host's end of the bridge: frames, tool calls, output, clock and entropy."""
